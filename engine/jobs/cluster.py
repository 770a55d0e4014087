"""A connection to Dask: the embedded cluster in a process of its own, or one that is there already.

The embedded one is `engine.jobs.serve`, started as a fresh interpreter (never a fork or spawn of the app,
which would run `app.py` again in the child). The client stays inside: it is awaitable, which Streamlit's
caches refuse.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from distributed import CancelledError, Client, KilledWorker

from engine.errors import EngineError
from engine.jobs import worker
from engine.store import atomic_files

ROOT = Path(__file__).parents[2]
DEVICE = "DEVICE"
CONNECT = 15.0  # seconds
CLOSE = 6.0  # seconds: a little more than the cluster gives itself for an orderly end
START = "dask worker ADDRESS --resources DEVICE=1"


class Embedded:
    """The process of the embedded cluster."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "engine.jobs.serve"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def address(self) -> str:
        """The scheduler's address, once it listens.

        Raises:
            EngineError: the process ended instead.
        """
        line = self._stream(self._process.stdout).readline().strip()
        if not line:
            code = self._process.wait()
            raise EngineError(
                f"The background engine could not be started: its process ended with status {code}. The log says why."
            )
        return line

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and its worker."""
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


class Task(Protocol):
    """What is used of a `distributed.Future`."""

    key: str
    status: str

    def done(self) -> bool: ...

    def cancel(self) -> object: ...

    def result(self, timeout: float) -> Any: ...

    def add_done_callback(self, fn: Callable[[Task], object]) -> object: ...


@dataclass(frozen=True)
class Outcome:
    """What came of a task: its value, or that its process died, or a sentence."""

    value: Any = None
    died: bool = False
    message: str = ""


class Cluster:
    """A scheduler that answers, with workers that see the store.

    Args:
        home: the store's home, an absolute path that exists.
        scheduler: address of a scheduler that is there; None starts the embedded cluster.
        wake: called, in a thread of Dask's, whenever a task ends.

    Raises:
        EngineError: it cannot be started or reached, or its workers do not see the store.
    """

    def __init__(self, home: Path, scheduler: str | None, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._embedded = None if scheduler else Embedded()
        self._client: Any = None  # a Client, most of whose methods carry no types
        try:
            self._connect(scheduler or self._started().address(), home)
        except BaseException:
            self.close()
            raise

    def _started(self) -> Embedded:
        assert self._embedded is not None
        return self._embedded

    def _connect(self, address: str, home: Path) -> None:
        try:
            logging.getLogger("distributed.client").setLevel(
                logging.CRITICAL
            )  # what is wrong, we say in our words
            connect: Callable[..., Any] = Client
            self._client = connect(address, timeout=CONNECT, set_as_default=False, name="prunescope")
            if self._embedded is not None:
                self._client.wait_for_workers(1, timeout=CONNECT)
        except (OSError, ValueError, TimeoutError) as error:
            whose = (
                "The background engine"
                if self._embedded
                else f"The scheduler {address} that PRUNESCOPE_SCHEDULER names"
            )
            raise EngineError(
                f"{whose} does not answer ({error}). Start it, or correct the address, and try again."
            ) from error
        if self._embedded is None:
            self._check_workers(home)
        self._client.register_plugin(worker.WarmUp())

    @property
    def client(self) -> Any:
        """The connected `distributed.Client`."""
        assert self._client is not None
        return self._client

    def _check_workers(self, home: Path) -> None:
        """Every worker there is reads back a token that was written into the store."""
        atomic_files.check_writable(home)
        token = uuid.uuid4().hex
        path = home / f".seen-{token}{atomic_files.TEMPORARY}"
        atomic_files.write(path, token.encode())
        try:
            seen = self.client.run(worker.holds, str(path), token)
        except Exception as error:  # whatever the worker raised, for instance because it has no Prunescope
            raise EngineError(
                f"The workers cannot run Prunescope ({type(error).__name__}: {error}). "
                f"Install the same version there, or start them in its directory: {START}."
            ) from error
        finally:
            path.unlink(missing_ok=True)
        if blind := [address for address, there in seen.items() if not there]:
            raise EngineError(
                f"The worker {blind[0]} does not see the run store {home}. Mount it there under the same path, "
                "or set PRUNESCOPE_HOME to one that both see."
            )

    @property
    def alive(self) -> bool:
        """Whether tasks that were sent can still come back."""
        return bool(self.client.status == "running") and (self._embedded is None or self._embedded.alive)

    def devices(self) -> int:
        """How many runs can be computed at once."""
        if self._embedded is not None:
            return 1
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return int(sum(found["resources"].get(DEVICE, 0) for found in workers))

    def submit(self, function: str, *args: Any, device: bool = False) -> Task:
        """Have a worker call a function of `engine.jobs.worker`; `device`: on a device of its own."""
        key, needs = f"{function}-{uuid.uuid4().hex[:8]}", {DEVICE: 1} if device else None
        task: Task = self.client.submit(worker.call, function, *args, key=key, resources=needs, pure=False)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: Task) -> None:
        self._wake()

    def outcome(self, task: Task) -> Outcome:
        """What came of a task that is done."""
        try:
            if task.status in ("cancelled", "lost"):
                return Outcome(died=True)
            return Outcome(value=task.result(timeout=CLOSE))
        except (
            KilledWorker,
            OSError,
            TimeoutError,
            CancelledError,
        ):  # the last three: it died with the answer in its hands
            return Outcome(died=True)
        except (
            Exception
        ) as error:  # nothing of ours is raised over there, so this is Dask's or the installation's
            return Outcome(
                message=f"The worker could not do it ({type(error).__name__}: {error}). Its log says more."
            )

    def abort(self, task: Task, *, kill: bool) -> None:
        """Give a task up; `kill` the worker process that is at it (not where the task waits behind
        another's).
        """
        at = [address for address, keys in self.client.processing().items() if task.key in keys]
        task.cancel()
        if at and kill:
            with suppress(Exception):  # a worker that no nanny watches is left to end its block
                self.client.run(worker.kill_worker, workers=at, nanny=True)

    def close(self) -> None:
        """Leave a cluster that is not ours; end ours."""
        if self._client is not None:
            with suppress(Exception):  # it may be gone already
                self._client.close(timeout=2)
        if self._embedded is not None:
            self._embedded.close()
