"""A hub of datasets on this machine: enough of its API for files to be fetched whole and read in part, and
the ways in which that fails.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """Serves directories as datasets, at one commit each.

    Attributes:
        asked: `METHOD path` of every request so far.
        sent: bytes of files so far.
        refuses: status and error code to answer everything with, None to answer well.
        refusals: after so many refusals it answers well; None for never.
        breaks: so many files are sent by half, then the connection breaks.
        go: files are sent while this is set.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, Path] = {}
        self.asked: list[str] = []
        self.sent = 0
        self.refuses: tuple[int, str] | None = None
        self.refusals: int | None = None
        self.breaks = 0
        self.go = threading.Event()
        self.go.set()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def add_dataset(self, name: str, directory: Path) -> None:
        self.datasets[name] = directory

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urlsplit(self.path).path
        self.server_hub.asked.append(f"{self.command} {path}")
        if self.server_hub.refuses is not None and self.server_hub.refusals != 0:
            self.server_hub.refusals = (
                None if self.server_hub.refusals is None else self.server_hub.refusals - 1
            )
            return self._answer(
                self.server_hub.refuses[0],
                b"",
                {"X-Error-Code": self.server_hub.refuses[1], "Retry-After": "1"},
            )
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] == "api":
            return self._api("/".join(parts[2:4]), parts[4], parts[5], body)
        return self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))

    def _api(self, name: str, verb: str, revision: str, body: str) -> None:
        directory = self.server_hub.datasets.get(name)
        if directory is None:
            return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        files = [file for file in sorted(directory.rglob("*")) if file.is_file()]
        entries = [
            {
                "type": "file",
                "path": str(file.relative_to(directory)),
                "size": file.stat().st_size,
                "oid": "0" * 40,
            }
            for file in files
        ]
        if verb == "revision":
            found: object = {
                "id": name,
                "sha": COMMIT,
                "siblings": [{"rfilename": entry["path"]} for entry in entries],
            }
        elif verb == "paths-info":
            found = [entry for entry in entries if str(entry["path"]) in unquote(body)]
        else:
            found = entries
        return self._answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        directory = self.server_hub.datasets.get(name)
        if directory is None:
            return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        if not (directory / path).is_file():
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        content, status = (directory / path).read_bytes(), 200
        headers = {
            "ETag": f'"{len(content)}-{hash(content):x}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if (asked := self.headers.get("Range")) is not None:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1 if last else len(content), len(content))
            headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(content)}"
            content, status = content[int(first) : stop], 206
        if self.command == "GET":
            self.server_hub.go.wait(60)
            self.server_hub.sent += len(content)
            if self.server_hub.breaks:
                self.server_hub.breaks -= 1
                return self._answer(
                    status,
                    content[: len(content) // 2],
                    {**headers, "Content-Length": str(len(content))},
                    last=True,
                )
        return self._answer(status, content, headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str], last: bool = False) -> None:
        self.close_connection = last
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
