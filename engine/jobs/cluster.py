"""A connection to Dask: to the embedded cluster, a separate process, or to an existing scheduler.

The embedded cluster is `engine.jobs.serve`, started as a fresh interpreter: a fork or spawn of the app would
run `app.py` again in the child. The client is not exposed to pages: it is awaitable, which Streamlit's caches
reject.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

import dask
from distributed import CancelledError, Client, KilledWorker, Nanny, Worker, WorkerPlugin

from engine.errors import EngineError
from engine.jobs import worker
from engine.jobs.questions import Answer
from engine.jobs.tls import Credentials
from engine.jobs.worker import warm_up
from engine.store import atomic_files

ROOT = Path(__file__).parents[2]
# A Dask resource; `engine.jobs.serve` gives its worker one, other workers offer it as in `START`
DEVICE = "DEVICE"
CONNECT = 15.0  # seconds
START_UP = 120.0  # seconds for the embedded cluster's process to listen: it imports Dask
CLOSE = 6.0  # seconds: a little longer than the cluster gives itself to shut down
CLIENT_SETTINGS = {
    # what Dask polls for its own displays; `Cluster.devices` asks for the workers when it needs them
    "distributed.client.scheduler-info-interval": "1 h",
    "distributed.client.heartbeat": "30 s",
}
START = "dask worker ADDRESS --resources DEVICE=1"


class WarmUp(WorkerPlugin):
    """Warms a worker process up as soon as it starts, in a thread next to its tasks."""

    name = "prunescope-warm-up"

    def setup(self, worker: Worker) -> None:
        # A daemon thread, so that a slow import does not keep an ending worker process alive.
        threading.Thread(target=warm_up, name=self.name, daemon=True).start()


async def kill_worker(dask_worker: Nanny) -> None:
    """Kill a nanny's worker process; the nanny starts another. Dask passes its nanny under this name."""
    process = dask_worker.process and dask_worker.process.process
    if process is not None:
        await process.kill()


class Embedded:
    """The process of the embedded cluster."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "engine.jobs.serve"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
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


class Task(Protocol):
    """The part of `distributed.Future` that is used."""

    key: str
    status: str

    def done(self) -> bool: ...

    def cancel(self) -> object: ...

    def result(self, timeout: float) -> Any: ...

    def add_done_callback(self, fn: Callable[[Task], object]) -> object: ...


class Cluster:
    """A connected scheduler whose workers see the store.

    Args:
        home: the store's home, an absolute path that exists.
        scheduler: address of an existing scheduler; None starts the embedded cluster.
        wake: called, in one of Dask's threads, whenever a task ends.

    Raises:
        EngineError: the cluster cannot be started or reached, or its workers do not see the store.
    """

    def __init__(self, home: Path, scheduler: str | None, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._embedded = None if scheduler else Embedded()
        self._client: Any = None  # a Client, most of whose methods are untyped
        try:
            self._connect(scheduler, home)
        except BaseException:  # also KeyboardInterrupt: the child must not outlive a failed connection
            self.close()
            raise

    def _connect(self, scheduler: str | None, home: Path) -> None:
        address = self._embedded.address() if self._embedded is not None else scheduler
        # Dask would log what is reported below as an EngineError
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            # Client's constructor is untyped, so mypy would refuse the call
            connect: Callable[..., Any] = Client
            with dask.config.set(CLIENT_SETTINGS):  # read when the client is made
                self._client = connect(
                    address,
                    # of an existing cluster: whatever Dask's own configuration says
                    security=self._embedded.credentials if self._embedded else None,
                    timeout=CONNECT,
                    set_as_default=False,
                    name="prunescope",
                )
            # The child prints its address before its worker has registered.
            if self._embedded is not None:
                self._client.wait_for_workers(1, timeout=CONNECT)
        except (OSError, ValueError, TimeoutError) as error:
            name = (
                "The background engine"
                if self._embedded
                else f"The scheduler {address} that PRUNESCOPE_SCHEDULER names"
            )
            raise EngineError(
                f"{name} does not answer ({error}). Start it, or correct the address, and try again."
            ) from error
        if self._embedded is None:
            self._check_workers(home)
        # Dask also applies it to workers that join later, such as one that a nanny restarts.
        self._client.register_plugin(WarmUp())

    @property
    def client(self) -> Any:
        """The connected `distributed.Client`."""
        assert self._client is not None
        return self._client

    def _check_workers(self, home: Path) -> None:
        """Check that every worker can read a token written to the store."""
        atomic_files.check_writable(home, private=True)
        token = uuid.uuid4().hex
        path = home / f".seen-{token}{atomic_files.TEMPORARY}"
        atomic_files.write(path, token.encode())
        try:
            # `run` calls the function on every worker, past the queue of tasks.
            replies = self.client.run(worker.has_token, str(path), token)
        except Exception as error:  # anything the worker raised, for instance because Prunescope is missing
            raise EngineError(
                f"The workers cannot run Prunescope ({type(error).__name__}: {error}). "
                f"Install the same version there, or start them in its directory: {START}."
            ) from error
        finally:
            path.unlink(missing_ok=True)
        if blind := [address for address, has_token in replies.items() if not has_token]:
            raise EngineError(
                f"The worker {blind[0]} does not see the run store {home}. Mount it there under the same "
                "path, or set PRUNESCOPE_HOME to one that both see."
            )

    @property
    def alive(self) -> bool:
        """Whether results of submitted tasks can still arrive."""
        return bool(self.client.status == "running") and (self._embedded is None or self._embedded.alive)

    def version(self, patience: float) -> str:
        """Return the version of the first worker that answers, also while all of them compute.

        Raises:
            Exception: none answers within `patience` seconds, or the connection is lost.
        """
        found: str = self.client.sync(self._first_version, callback_timeout=patience)
        return found

    async def _first_version(self) -> str:
        known = await self.client.scheduler.identity(n_workers=-1)
        # One by one, because `run` waits for all that it asks. It bypasses the queue of tasks.
        asked = [
            asyncio.ensure_future(self.client.run(worker.version, workers=[address]))
            for address in known["workers"]
        ]
        try:
            for answer in asyncio.as_completed(asked):
                with suppress(Exception):  # of this worker; another one may answer
                    for version in (await answer).values():  # none if it has left
                        return str(version)
        finally:
            for task in asked:
                task.cancel()
        raise EngineError("No worker answers.")

    def devices(self) -> int:
        """Return how many runs can be computed at the same time."""
        if self._embedded is not None:
            return 1
        # -1 = all workers.
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return int(sum(info["resources"].get(DEVICE, 0) for info in workers))

    def submit(self, function: Callable[..., Any], *args: Any, device: bool = False) -> Task:
        """Have a worker call a function of `engine.jobs.worker`; with `device`, on a device of its own.

        The function is pickled by reference, so neither the app nor the scheduler has to import torch.
        """
        key = f"{function.__name__}-{uuid.uuid4().hex[:8]}"
        # Without a device, a question runs next to a run, in another of the worker's threads.
        needs = {DEVICE: 1} if device else None
        task: Task = self.client.submit(worker.call, function, *args, key=key, resources=needs, pure=False)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: Task) -> None:
        self._wake()

    def result(self, task: Task) -> Answer[Any] | None:
        """Return the answer of a task that is done, or None if its process died."""
        try:
            if task.status in ("cancelled", "lost"):
                return None
            answer: Answer[Any] = task.result(timeout=CLOSE)
            return answer
        # the last three: the worker died before its answer was fetched
        except (KilledWorker, OSError, TimeoutError, CancelledError):
            return None
        # `worker.call` returns our own errors as answers, so this one comes from Dask or the installation
        except Exception as error:
            return Answer(
                message=f"The worker could not do it ({type(error).__name__}: {error}). Its log says more."
            )

    def abort(self, task: Task, *, kill: bool) -> None:
        """Give up a task; with `kill`, also kill the worker process that is running it."""
        # Before the cancel: afterwards the scheduler no longer says where the task runs.
        addresses = [address for address, keys in self.client.processing().items() if task.key in keys]
        task.cancel()  # cannot stop a function that is already running, hence `kill`
        if addresses and kill:
            with suppress(Exception):  # a worker without a nanny is left to finish its block
                self.client.run(kill_worker, workers=addresses, nanny=True)

    def close(self) -> None:
        """Disconnect, and end the embedded cluster."""
        if self._client is not None:
            with suppress(Exception):  # the cluster may have ended already
                self._client.close(timeout=2)  # seconds
        if self._embedded is not None:
            self._embedded.close()
