"""The process of the embedded cluster, as the app sees it.

It is `engine.jobs.serve`, started as a fresh interpreter: a fork or spawn of the app would run `app.py` again
in the child. Nothing here imports Dask, so that the process can import it while the app does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.jobs.fleet import WorkerSpec

if TYPE_CHECKING:
    from engine.jobs.tls import Credentials

ROOT = Path(__file__).parents[2]
START_UP = 120.0  # seconds for the embedded cluster's process to listen, and for its worker: they import much
CLOSE = 6.0  # seconds: a little longer than the cluster gives itself to shut down


class Embedded:
    """The process of the embedded cluster."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "engine.jobs.serve"]
        path = [str(ROOT), os.environ.get("PYTHONPATH")]
        self._process = subprocess.Popen(
            command,
            # Both: a module named engine where the app was started must not win, and with PYTHONSAFEPATH set
            # Python finds no modules in the current directory.
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            # The child ends when this pipe closes, which the system also does if the app is killed.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # In a session of its own Ctrl-C does not reach it, so that the app can end it in order.
            start_new_session=True,
        )
        self._credentials: Credentials | None = None

    @property
    def credentials(self) -> Credentials:
        """What a client needs to connect; known once `address` has returned."""
        assert self._credentials is not None
        return self._credentials

    def address(self) -> str:
        """Hand the credentials over, wait until the scheduler listens and return its address.

        Raises:
            EngineError: the process ended instead, or no credentials can be made.
        """
        from engine.jobs.tls import Credentials  # imports Dask

        try:
            # While the child imports Dask: a key takes a tenth of a second.
            self._credentials = Credentials.create()
        except ImportError as error:
            raise EngineError(
                "The background engine needs the package cryptography, to keep other users of this machine "
                "out. Install it with pip, and start the app again."
            ) from error
        pipe = self._stream(self._process.stdin)
        with suppress(OSError):  # the child has ended, which is reported below
            pipe.write(self._credentials.to_line())
            pipe.flush()
        limit = threading.Timer(START_UP, self._process.kill)
        limit.start()
        # The child prints a single line, its address; an empty read means that it ended before.
        line = self._stream(self._process.stdout).readline().strip()
        limit.cancel()
        if not line:
            code = self._process.wait()
            raise EngineError(
                f"The background engine could not be started: its process ended with status {code}. "
                "See the log."
            )
        return line

    def start(self, spec: WorkerSpec) -> None:
        """Start another worker; it joins when it is warm."""
        self._tell({"start": asdict(spec)})

    def end(self, name: str) -> None:
        """End such a worker."""
        self._tell({"end": name})

    def _tell(self, order: dict[str, Any]) -> None:
        pipe = self._stream(self._process.stdin)
        with suppress(OSError):  # the child has ended, which `alive` tells
            pipe.write(json.dumps(order) + "\n")
            pipe.flush()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and its worker."""
        # End of file on its standard input tells the child to shut down.
        with suppress(OSError):
            self._stream(self._process.stdin).close()
        try:
            self._process.wait(CLOSE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stream(self._process.stdout).close()

    @staticmethod
    def _stream(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe
