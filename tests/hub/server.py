"""A hub on this machine: local directories served the way huggingface_hub and datasets ask for repositories.

What it speaks: the information of a repository, its tree, `paths-info`, `refs`, `whoami-v2` and files with
HEAD, GET and Range; the errors carry the hub's own `X-Error-Code`. It does not cover uploads, pages of long
listings, Xet, or the hub's redirect to another host for large files.
Run `python -m tests.hub.server` to try the app against it by hand.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.hub.answers import Handler, Request, Server, hang_up
from tests.hub.repositories import Refusal, Repository

CODES = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}


@dataclass
class Failure:
    """A failure that is still due: with whom, how, and how often (None: always)."""

    target: str
    times: int | None
    refusal: Refusal | None = None
    size: int = 0

    def take(self) -> bool:
        """Use one of the times up; False when none is left."""
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0


class HubServer:
    """Serves directories as repositories until it is closed; a context manager.

    Attributes:
        url: what HF_ENDPOINT is to be.
        requests: every request so far, in the order of arrival.
        bytes_per_second: how fast files are sent, all connections together; None for as fast as it goes.
        closing: set when the server goes down.
    """

    def __init__(self, port: int = 0, bytes_per_second: float | None = None) -> None:
        self.requests: list[Request] = []
        self.bytes_per_second = bytes_per_second
        self.closing = threading.Event()
        self.connections: set[socket.socket] = set()
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._granted: dict[str, set[str]] = {}
        self._failures: list[Failure] = []
        self._breaks: list[Failure] = []
        self._lock = threading.Lock()
        self._free = 0.0  # when the line has sent what it took on, on the monotonic clock
        self._server = Server(("127.0.0.1", port), type("Handler", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port and every open connection: from now on the hub cannot be reached."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            hang_up(connection)

    def add_model(
        self,
        id: str,
        directory: Path,
        *,
        gated: str | None = None,
        licence: str | None = None,
        revision: str = "main",
    ) -> None:
        """Serve a directory as a revision of a model; `gated` is None, 'auto' or 'manual'."""
        self._add("models", id, directory, revision, gated or False, licence)

    def add_dataset(self, id: str, directory: Path, revision: str = "main") -> None:
        """Serve a directory as a revision of a dataset."""
        self._add("datasets", id, directory, revision, False, None)

    def _add(
        self, kind: str, id: str, directory: Path, revision: str, gated: bool | str, licence: str | None
    ) -> None:
        found = self._repositories.setdefault((kind, id), Repository(id, gated, licence))
        found.gated, found.licence = gated, licence
        found.revisions[revision] = directory

    def grant(self, token: str, *ids: str) -> None:
        """Make a token known, and let it read these gated repositories."""
        self._granted.setdefault(token, set()).update(ids)

    def fail(
        self,
        id: str,
        status: int,
        times: int | None = None,
        retry_after: float | None = None,
        *,
        code: str | None = None,
    ) -> None:
        """Refuse requests about a repository ('*': all requests), `times` of them or all, with the hub's
        headers.
        """
        refusal = Refusal(status, code or CODES.get(status), retry_after=retry_after)
        self._failures.append(Failure(id, times, refusal))

    def break_after(self, bytes: int, times: int = 1, *, file: str = "*") -> None:
        """Break the connection once `bytes` of a file are sent, `times` times; only files longer than that
        count.
        """
        self._breaks.append(Failure(file, times, size=bytes))

    def repair(self) -> None:
        """Switch every failure off."""
        self._failures.clear()
        self._breaks.clear()

    def refuse(self, path: str) -> None:
        """Raise the refusal that is due for a path, if any."""
        with self._lock:
            for failure in self._failures:
                if (failure.target == "*" or f"/{failure.target}/" in f"{path}/") and failure.take():
                    assert failure.refusal is not None
                    raise failure.refusal

    def breaking_point(self, name: str, length: int) -> int:
        """How many bytes of an answer are sent before the connection breaks; its length when it does not."""
        with self._lock:
            for failure in self._breaks:
                if fnmatch(name, failure.target) and length > failure.size and failure.take():
                    return failure.size
        return length

    def repository(self, kind: str, parts: list[str], token: str | None) -> tuple[Repository, list[str]]:
        """Return the repository at the start of a path, and the rest; reject unknown ones as the hub does."""
        for length in (2, 1):
            if found := self._repositories.get((kind, "/".join(parts[:length]))):
                return found, parts[length:]
        raise Refusal(404 if token else 401, "RepoNotFound")

    def check_token(self, token: str | None) -> None:
        """Reject an unknown token, whatever it is for."""
        if token is not None and token not in self._granted:
            raise Refusal(401, None, "Invalid credentials in Authorization header")

    def check_gate(self, repository: Repository, token: str | None) -> None:
        """Files of a gated repository are for tokens with a grant; its information is for everyone, as on the
        hub.
        """
        if repository.gated and repository.id not in self._granted.get(token or "", ()):
            raise Refusal(
                403 if token else 401, "GatedRepo", f"Access to model {repository.id} is restricted."
            )

    def wait_for_line(self, size: int) -> None:
        """Wait until a slow line has room for `size` bytes more; a connection error when the hub closes
        meanwhile.
        """
        if not self.bytes_per_second:
            return
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self.bytes_per_second
            wait = self._free - time.monotonic()
        if self.closing.wait(wait):
            raise ConnectionAbortedError("the hub is closed")


def main() -> None:
    """Serve tiny models of every kind that the app has to deal with, until interrupted."""
    from tests.hub import models

    parser = argparse.ArgumentParser(
        description="A hub on this machine with tiny models, to try the app by hand."
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen at (default: a free one)")
    parser.add_argument(
        "--bytes-per-second", type=float, help="send files only so fast, all connections together"
    )
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        HubServer(given.port, bytes_per_second=given.bytes_per_second) as hub,
    ):
        print(f"export HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_HOME={directory}/home", flush=True)
        for name, (make, why) in models.KINDS.items():
            gated = "manual" if name == "gated" else None
            hub.add_model(f"tiny/{name}", make(Path(directory) / name), gated=gated, licence="apache-2.0")
            print(f"  tiny/{name:<14} {why}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("The hub is closed.")


if __name__ == "__main__":
    main()
