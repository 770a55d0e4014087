"""Serve the app on a free port with an empty store, and find Chromium: for tests, benchmarks and pictures."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.models.identity import ROOT

NAMES = (
    "chromium-headless-shell",  # without windows: smaller, and takes a little less processor time
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
COMMAND = ("streamlit", "run", "app.py", "--server.headless=true")
TIMEOUT = 60  # seconds


def chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def app(
    home: Path,
    environment: Mapping[str, str] = os.environ,
    command: Sequence[str] = COMMAND,
    *,
    python: Path | str = sys.executable,
    directory: Path = ROOT,
) -> Iterator[str]:
    """Run the app and yield its address.

    Raises:
        RuntimeError: the app does not answer; the message contains its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**environment, "PRUNESCOPE_HOME": str(home)}
    environment.pop("PRUNESCOPE_SCHEDULER", None)
    command = [str(python), "-m", *command, "--server.port", port]
    log = home / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait(f"http://127.0.0.1:{port}/healthz", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _wait(address: str, log: Path) -> None:
    """Poll the health check until the app answers."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"The app did not answer within {TIMEOUT} s:\n{log.read_text()}")
