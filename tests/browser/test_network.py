"""The server that the README's command starts: only this machine reaches it, and only under known names."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import pytest

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "streamlit",
}
TIMEOUT = 60  # seconds


@pytest.fixture
def port(address: str) -> int:
    return int(urlsplit(address).port or 0)


def status(port: int, path: str, headers: dict[str, str]) -> int:
    """Send a request and return the status of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def open_session(port: int, host: str) -> int:
    """Open a page's connection as a page of `host` would, and return the status: 101 if it is accepted."""
    return status(port, "/_stcore/stream", {**HANDSHAKE, "Host": host, "Origin": f"http://{host}"})


def test_only_this_machine_reaches_the_app(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    with pytest.raises(ConnectionRefusedError):  # another address, which a server of all interfaces also has
        socket.create_connection(("127.0.0.2", port), TIMEOUT).close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_app_answers_to_its_names(port: int, name: str) -> None:
    assert open_session(port, f"{name}:{port}") == 101
    assert status(port, "/", {"Host": f"{name}:{port}"}) == 200


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "a@localhost"])
def test_a_rebinding_page_gets_no_session_and_no_file(port: int, name: str) -> None:
    host = f"{name}:{port}"
    assert open_session(port, host) == 403
    paths = ("/", "/runs", "/index.html", "/_stcore/health", "/_stcore/host-config", "/healthz")
    assert [status(port, path, {"Host": host}) for path in paths] == [403] * len(paths)


def test_the_health_route_answers_before_the_first_visit(port: int) -> None:
    assert status(port, "/healthz", {"Host": f"localhost:{port}"}) == 200


def test_a_page_of_another_site_opens_no_session(port: int) -> None:
    headers = {**HANDSHAKE, "Host": f"localhost:{port}", "Origin": "http://evil.example"}
    assert status(port, "/_stcore/stream", headers) == 403
