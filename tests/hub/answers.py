"""How the test hub answers a request: the paths, headers and JSON that huggingface_hub 2 and datasets
5 expect.
"""

from __future__ import annotations

import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.repositories import Refusal, Repository, commit_of, entry, files, sibling

if TYPE_CHECKING:
    from tests.hub.server import HubServer

SLICE = 1 << 16  # bytes of a file sent at once


class Request(NamedTuple):
    """One request as it arrived: the path is encoded and has its query; `range` is the header or None."""

    method: str
    path: str
    range: str | None


def hang_up(connection: socket.socket) -> None:
    """End a connection in the middle of whatever it was doing."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was first


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hung up; report anything else, which is an error of this server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def setup(self) -> None:
        super().setup()
        self.hub.connections.add(self.connection)

    def finish(self) -> None:
        self.hub.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET

    def _serve(self) -> None:
        self.hub.requests.append(Request(self.command, self.path, self.headers.get("Range")))
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._route()
        except Refusal as refusal:
            text = json.dumps({"error": refusal.headers.get("X-Error-Message", "")})
            self._answer(refusal.status, text.encode(), refusal.headers)

    def _route(self) -> None:
        path = urlsplit(self.path).path
        parts = [unquote(part) for part in path.strip("/").split("/")]
        self._token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.refuse(unquote(path))
        self.hub.check_token(self._token)
        if parts[:2] == ["api", "whoami-v2"]:
            return self._whoami()
        if parts[0] == "api" and len(parts) > 2 and parts[1] in ("models", "datasets"):
            return self._api(parts[1], *self.hub.repository(parts[1], parts[2:], self._token))
        if "resolve" in parts:
            kind = "datasets" if parts[0] == "datasets" else "models"
            return self._resolve(*self.hub.repository(kind, parts[kind == "datasets" :], self._token))
        raise Refusal(404, None, f"There is nothing at {path}")

    def _whoami(self) -> None:
        if self._token is None:
            raise Refusal(401)
        self._json({"type": "user", "name": "tester", "orgs": [], "auth": {"type": "access_token"}})

    def _api(self, kind: str, repository: Repository, rest: list[str]) -> None:
        query = parse_qs(urlsplit(self.path).query)
        verb, revision = rest[0] if rest else "revision", rest[1] if len(rest) > 1 else "main"
        if verb == "refs":
            return self._json(self._refs(repository))
        directory, commit = repository.at(revision)
        if verb == "revision":
            return self._json(self._information(repository, directory, commit, query))
        if verb == "tree":
            return self._json(self._tree(directory, "/".join(rest[2:]), query))
        if verb == "paths-info":
            return self._json(self._paths(directory))
        raise Refusal(404, None, f"No such request about {kind}: {verb}")

    def _refs(self, repository: Repository) -> dict[str, Any]:
        refs = [
            {
                "name": name,
                "ref": name if "/" in name else f"refs/heads/{name}",
                "targetCommit": commit_of(directory),
            }
            for name, directory in repository.revisions.items()
        ]
        converts = [ref for ref in refs if ref["name"].startswith("refs/convert/")]
        return {"branches": [ref for ref in refs if ref not in converts], "converts": converts, "tags": []}

    def _information(
        self, repository: Repository, directory: Path, commit: str, query: dict[str, list[str]]
    ) -> dict[str, Any]:
        found = [entry(directory, path) for path in files(directory).values()]
        blobs = query.get("blobs", ["false"])[0].lower() == "true"
        licence = repository.licence
        whole = {
            "author": repository.id.split("/", maxsplit=1)[0],
            "sha": commit,
            "lastModified": "2024-01-01T00:00:00.000Z",
            "createdAt": "2024-01-01T00:00:00.000Z",
            "private": False,
            "gated": repository.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [f"license:{licence}"] if licence else [],
            "cardData": {"license": licence} if licence else {},
            "siblings": [sibling(item, blobs) for item in found],
            "usedStorage": sum(item["size"] for item in found),
        }
        asked = query.get("expand", list(whole))
        return {
            "_id": commit[:24],
            "id": repository.id,
            **{name: whole[name] for name in asked if name in whole},
        }

    def _tree(self, directory: Path, below: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        root = directory / below
        if not root.is_dir():
            raise Refusal(404, "EntryNotFound", f"{below} does not exist")
        recursive = query.get("recursive", ["false"])[0].lower() == "true"
        return [entry(directory, path) for path in sorted(root.rglob("*") if recursive else root.iterdir())]

    def _paths(self, directory: Path) -> list[dict[str, Any]]:
        as_json = "json" in self.headers.get("Content-Type", "")
        fields = json.loads(self._body) if as_json else parse_qs(self._body.decode())
        wanted = (directory / name for name in fields.get("paths", []) if name)
        return [entry(directory, path) for path in wanted if path.exists()]

    def _resolve(self, repository: Repository, rest: list[str]) -> None:
        _, revision, *name = rest
        directory, commit = repository.at(revision)
        path = files(directory).get("/".join(name))
        if path is None:
            raise Refusal(404, "EntryNotFound", f"Entry not found: {'/'.join(name)}")
        self.hub.check_gate(repository, self._token)
        found = entry(directory, path)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{found["oid"]}"', "Accept-Ranges": "bytes"}
        if lfs := found.get("lfs"):
            headers |= {
                "ETag": f'"{lfs["oid"]}"',
                "X-Linked-Etag": f'"{lfs["oid"]}"',
                "X-Linked-Size": str(lfs["size"]),
            }
        self._send_file(path, headers)

    def _send_file(self, path: Path, headers: dict[str, str]) -> None:
        size = path.stat().st_size
        start, stop = span(self.headers.get("Range"), size)
        partly = self.headers.get("Range") is not None
        if partly:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._head(206 if partly else 200, {**headers, "Content-Length": str(stop - start)})
        if self.command == "HEAD":
            return
        sent = self.hub.breaking_point(path.name, stop - start)
        self._send_span(path, start, start + sent)
        if sent < stop - start:
            self.close_connection = True
            hang_up(self.connection)

    def _send_span(self, path: Path, start: int, stop: int) -> None:
        rate = self.hub.bytes_per_second
        most = min(SLICE, max(1, int(rate / 20))) if rate else SLICE
        with path.open("rb") as file:
            file.seek(start)
            while (left := stop - file.tell()) > 0 and (piece := file.read(min(most, left))):
                self.hub.wait_for_line(len(piece))
                self.wfile.write(piece)

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def span(header: str | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of a Range header (`bytes=a-b`, `bytes=a-`, `bytes=-n`);
    refused as 416.
    """
    if header is None:
        return 0, size
    first, last = header.removeprefix("bytes=").split("-")
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise Refusal(416, None, "The requested range is not in the file")
    return start, stop
