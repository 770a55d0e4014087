"""A connection to Dask: to the embedded cluster, a separate process, or to an existing scheduler.

A scheduler needs nothing of Prunescope: what it unpickles itself, the graph of tasks, holds plain values
only. The client is not exposed to pages: it is awaitable, which Streamlit's caches reject.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import dask
from distributed import CancelledError, Client, KilledWorker, Nanny, Worker, WorkerPlugin
from distributed.protocol.pickle import dumps, loads

from engine import COMMAND
from engine.errors import EngineError
from engine.jobs import worker
from engine.jobs.dask_settings import DEVICE
from engine.jobs.embedded import Embedded
from engine.jobs.questions import Answer
from engine.jobs.silence import Silence
from engine.jobs.versions import PRUNESCOPE, current, difference
from engine.jobs.worker import warm_up
from engine.store import atomic_files

CONNECT = 15.0  # seconds
ANSWER = 5.0  # seconds: a scheduler that is stopped must not stop us
SILENT = 15.0  # seconds without a heartbeat; the first imports can delay some
CLIENT_SETTINGS = {
    # what Dask polls for its own displays; `Cluster.devices` asks for the workers when it needs them
    "distributed.client.scheduler-info-interval": "1 h",
    "distributed.client.heartbeat": "30 s",
}
START = f"{COMMAND} worker ADDRESS"


class WarmUp(WorkerPlugin):
    """Warms a worker process up as soon as it starts, in a thread next to its tasks."""

    name = "prunescope-warm-up"

    def setup(self, worker: Worker) -> None:
        # A daemon thread, so that a slow import does not keep an ending worker process alive.
        threading.Thread(target=warm_up, name=self.name, daemon=True).start()


class ClosingClient(Client):
    """A client that closes if it cannot connect. Dask's own does so for some errors only; after the others,
    such as an unknown protocol, the process would wait half a minute for it at its end.
    """

    async def _start(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._start(*args, **options)  # type: ignore[no-untyped-call]
        except Exception:
            await self._close()
            raise


async def kill_worker(dask_worker: Nanny) -> None:
    """Kill a nanny's worker process; the nanny starts another. Dask passes its nanny under this name."""
    process = dask_worker.process and dask_worker.process.process
    if process is not None:
        await process.kill()


class Call:
    """A call of `engine.jobs.worker.call` that happens when it is unpickled, which a worker does."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._parts = function, *args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return worker.call, self._parts


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
        # By worker: its last heartbeat, on the scheduler's clock, and when we first saw that one, on ours.
        self._heartbeats: dict[str, tuple[float, float]] = {}
        self._stopped: float | None = None  # since when the scheduler does not answer, on our clock
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
            connect: Callable[..., Any] = ClosingClient
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
        except (
            OSError,
            ValueError,
            TypeError,
            TimeoutError,
        ) as error:  # TypeError: there are no TLS settings
            name = "The background engine" if self._embedded else f"The scheduler {address}"
            raise EngineError(
                f"{name} does not answer ({error}). Start it, or correct the address, and try again."
            ) from error
        if self._embedded is None:
            self._check_scheduler()
            self._check_workers(home)
        # Dask also applies it to workers that join later, such as one that a nanny restarts.
        self._client.register_plugin(WarmUp())

    @property
    def client(self) -> Any:
        """The connected `distributed.Client`."""
        assert self._client is not None
        return self._client

    def _check_scheduler(self) -> None:
        """Check that the scheduler understands us, and tell it our version, which new workers compare."""
        packages = self._ask(self.client.scheduler.versions)["packages"]
        if what := difference(packages):
            raise EngineError(f"The scheduler has {what}. Install the same version on both.")
        self.client.set_metadata(PRUNESCOPE, current())

    def _check_workers(self, home: Path) -> None:
        """Check that every worker has our version and can read a token written to the store."""
        atomic_files.check_writable(home, private=True)
        token = uuid.uuid4().hex
        path = home / f".seen-{token}{atomic_files.TEMPORARY}"
        atomic_files.write(path, token.encode())
        try:
            # `run` calls the function on every worker, past the queue of tasks.
            replies = self.client.run(worker.introduce, str(path), token, callback_timeout=CONNECT)
        except TimeoutError:  # a worker is stopped: `silences` will say so
            return
        except Exception as error:  # anything the worker raised, for instance because Prunescope is missing
            raise EngineError(
                f"The workers cannot run Prunescope ({type(error).__name__}: {error}). "
                f"Install the same version there, and start them with: {START}."
            ) from error
        finally:
            path.unlink(missing_ok=True)
        for address, (theirs, has_token) in replies.items():
            if theirs != current():
                raise EngineError(
                    f"The worker {address} has Prunescope {theirs}, but {current()} is running here, so "
                    "results may differ. Install the same version on both."
                )
            if not has_token:
                raise EngineError(
                    f"The worker {address} does not see the run store {home}. Mount it there under the same "
                    "path, or set PRUNESCOPE_HOME to one that both see."
                )

    def _ask(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Return the scheduler's answer.

        Raises:
            TimeoutError: it does not answer, for instance because its process is stopped.
        """
        return self.client.sync(method, callback_timeout=ANSWER, **arguments)

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
        """Return how many runs can be computed at the same time.

        Raises:
            TimeoutError: the scheduler does not answer.
        """
        if self._embedded is not None:
            return 1
        return int(sum(info["resources"].get(DEVICE, 0) for info in self._workers().values()))

    def _workers(self) -> Mapping[str, Any]:
        """Return what the scheduler knows about each worker, by address."""
        workers: Mapping[str, Any] = self._ask(self.client.scheduler.identity, n_workers=-1)["workers"]
        return workers

    def silences(self, tasks: Collection[str]) -> dict[str, Silence]:
        """Return which of these tasks, by key, cannot end now, because the worker that has it or the
        scheduler has stopped answering. To be called every few seconds while there are tasks.
        """
        now = time.monotonic()
        try:
            workers, held = self._workers(), self._ask(self.client.scheduler.processing)
        except TimeoutError:
            self._stopped = self._stopped or now
            return dict.fromkeys(tasks, Silence("The scheduler", self._stopped))
        self._stopped = None
        silences: dict[str, Silence] = {}
        for address, known in workers.items():
            heartbeat, since = self._heartbeats.get(address, (None, now))
            if heartbeat != known["last_seen"]:
                since = now
            self._heartbeats[address] = known["last_seen"], since
            if now - since > SILENT:
                who = "The worker" if self._embedded else f"The worker {known['name']}"
                mine = [key for key in held.get(address, ()) if key in tasks]
                silences |= dict.fromkeys(mine, Silence(who, since))
        return silences

    def submit(self, function: Callable[..., Any], *args: Any, device: bool = False) -> Task:
        """Have a worker call a function of `engine.jobs.worker`; with `device`, on a device of its own.

        The function is pickled by reference, so the app does not have to import torch.
        """
        key = f"{function.__name__}-{uuid.uuid4().hex[:8]}"
        # Without a device, a question runs next to a run, in another of the worker's threads.
        needs = {DEVICE: 1} if device else None
        # As Dask itself does it, but opened by the worker alone.
        payload = dumps(Call(function, *args))  # type: ignore[no-untyped-call]
        task: Task = self.client.submit(loads, payload, key=key, resources=needs, pure=False)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: Task) -> None:
        self._wake()

    def result(self, task: Task) -> Answer[Any] | None:
        """Return the answer of a task that is done, or None if its process died."""
        try:
            if task.status in ("cancelled", "lost"):
                return None
            answer: Answer[Any] = task.result(timeout=ANSWER)
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
        held: dict[str, Any] = {}
        with suppress(TimeoutError):
            held = self._ask(self.client.scheduler.processing)
        addresses = [address for address, keys in held.items() if task.key in keys]
        task.cancel()  # cannot stop a function that is already running, hence `kill`
        if addresses and kill:
            with suppress(Exception):  # a worker without a nanny is left to finish its block
                self.client.run(kill_worker, workers=addresses, nanny=True, callback_timeout=ANSWER)

    def close(self) -> None:
        """Disconnect, and end the embedded cluster."""
        if self._client is not None:
            with suppress(Exception):  # the cluster may have ended already
                self._client.close(timeout=2)  # seconds
        if self._embedded is not None:
            self._embedded.close()
