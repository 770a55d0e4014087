"""A connection to Dask: to the embedded cluster, a separate process, or to an existing scheduler.

A scheduler needs nothing of Prunescope: what it unpickles itself, the graph of tasks, holds plain values
only. The client is not exposed to pages: it is awaitable, which Streamlit's caches reject.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import CancelledError, KilledWorker
from distributed.protocol.pickle import dumps, loads

from engine import COMMAND
from engine.errors import EngineError
from engine.jobs import worker
from engine.jobs.dask_client import Call, ClosingClient, Task, WarmUp, kill_worker
from engine.jobs.dask_settings import QUESTION
from engine.jobs.embedded import START_UP, Embedded
from engine.jobs.fleet import Fleet, WorkerState
from engine.jobs.questions import Answer
from engine.jobs.roster import Roster
from engine.jobs.silence import Heartbeats, Sighting, Silence
from engine.jobs.versions import PRUNESCOPE, current, difference
from engine.store import atomic_files

CONNECT = 15.0  # seconds
ANSWER = 5.0  # seconds: a scheduler that is stopped must not stop us
SILENT = 15.0  # seconds without a heartbeat; the first imports can delay some
CLIENT_SETTINGS = {
    # what Dask polls for its own displays; `Cluster.workers` asks for the workers when it needs them
    "distributed.client.scheduler-info-interval": "1 h",
    "distributed.client.heartbeat": "30 s",
}
START = f"{COMMAND} worker ADDRESS"


class Cluster:
    """A connected scheduler whose workers see the store.

    Args:
        home: the store's home, an absolute path that exists.
        scheduler: address of an existing scheduler, or the process of the embedded cluster, which `close`
            ends.
        wake: called, in one of Dask's threads, whenever a task ends.

    Raises:
        EngineError: the cluster cannot be started or reached, or its workers do not see the store.
    """

    def __init__(self, home: Path, scheduler: str | Embedded, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._embedded = scheduler if isinstance(scheduler, Embedded) else None
        self.fleet = Fleet(self._embedded, CPU_COUNT) if self._embedded is not None else None
        self._client: Any = None  # a Client, most of whose methods are untyped
        self._roster = Roster(self.submit, self.result, named=self.fleet is None)
        self._heartbeats = Heartbeats()
        self._stopped: float | None = None  # since when the scheduler does not answer, on our clock
        try:
            self._connect(scheduler, home)
        except BaseException:  # also KeyboardInterrupt: the child must not outlive a failed connection
            self.close()
            raise

    def _connect(self, scheduler: str | Embedded, home: Path) -> None:
        address = scheduler.address() if isinstance(scheduler, Embedded) else scheduler
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
                self._client.wait_for_workers(1, timeout=START_UP)
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
        self._client.register_plugin(WarmUp(str(home)))

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

    def workers(self) -> list[WorkerState]:
        """Return the workers that are there, in the order of their names.

        Raises:
            TimeoutError: the scheduler does not answer.
        """
        found = self._roster.update(self._known())
        if self.fleet is not None:
            self.fleet.update(found)
        return found

    @property
    def labels(self) -> Mapping[str, str]:
        """What each worker computes on, for people, by address, as of the last call of `workers`. Those that
        have not said so yet are left out.
        """
        return self._roster.labels

    @property
    def places(self) -> list[str]:
        """What runs can be computed on, in words, as of the last call of `workers`."""
        return self._roster.places if self.fleet is None else self.fleet.places

    def _known(self) -> Mapping[str, Any]:
        """Return what the scheduler knows about each worker, by address."""
        workers: Mapping[str, Any] = self._ask(self.client.scheduler.identity, n_workers=-1)["workers"]
        return workers

    def holders(self) -> Mapping[str, Collection[str]]:
        """Return the keys of the tasks that each worker has, by address; also those of other apps.

        Raises:
            TimeoutError: the scheduler does not answer.
        """
        held: Mapping[str, Collection[str]] = self._ask(self.client.scheduler.processing)
        return held

    def sightings(self, tasks: Collection[str]) -> dict[str, Sighting]:
        """Return where each of these tasks is, by key, and who keeps it from ending by not answering. To be
        called every few seconds while there are tasks.
        """
        now = time.monotonic()
        try:
            workers, held = self._known(), self.holders()
        except TimeoutError:
            self._stopped = self._stopped or now
            return dict.fromkeys(tasks, Sighting(None, Silence("The scheduler", self._stopped)))
        self._stopped = None
        alone = self.fleet is not None and len(workers) == 1
        sightings: dict[str, Sighting] = {}
        for address, known in workers.items():
            since = self._heartbeats.since(address, known["last_seen"])
            silence = Silence("The worker" if alone else f"The worker {known['name']}", since)
            sighting = Sighting(address, silence if now - since > SILENT else None)
            sightings |= dict.fromkeys((key for key in held.get(address, ()) if key in tasks), sighting)
        return sightings

    def ask(self, function: Callable[..., Any], *args: Any) -> Task:
        """Have the worker that answers questions call a function of `engine.jobs.worker`, next to a run."""
        return self.submit(function, *args, resource=None if self.fleet is None else QUESTION)

    def submit(
        self, function: Callable[..., Any], *args: Any, resource: str | None = None, worker: str | None = None
    ) -> Task:
        """Have a worker call a function of `engine.jobs.worker`.

        The function is pickled by reference, so the app does not have to import torch.

        Args:
            resource: what the call needs for itself; without one it runs in another thread next to a run.
            worker: the address of the worker to prefer. Another one takes over if it is gone.
        """
        key = f"{function.__name__}-{uuid.uuid4().hex[:8]}"
        # As Dask itself does it, but opened by the worker alone.
        payload = dumps(Call(function, *args))  # type: ignore[no-untyped-call]
        task: Task = self.client.submit(
            loads,
            payload,
            key=key,
            resources=None if resource is None else {resource: 1},
            workers=None if worker is None else [worker],
            allow_other_workers=worker is not None,
            pure=False,
        )
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
        held: Mapping[str, Collection[str]] = {}
        with suppress(TimeoutError):
            held = self.holders()
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
