"""The queue of runs.

Runs wait here and are sent to Dask one per device, so a dying worker affects none of the waiting ones. The
progress of a run is read from its folder; only the queue itself, and ends that could not be written to a
folder, are held here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from filelock import Timeout

from engine.errors import StoreError
from engine.events import Cancelled, Event, Interrupted
from engine.jobs import worker
from engine.jobs.views import RunView, ViewState
from engine.recipe import Recipe
from engine.record import RunRecord, State
from engine.store.folder import RunFolder, Signature, retry_hint
from engine.store.follow import Tail
from engine.store.runs import Store

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster, Task

LOCK = 5.0  # seconds until a killed process has released the lock
FOLLOWED = 64  # runs whose parsed events are cached
KILLED = "The worker process that computed this run was killed, possibly because memory ran out."
NO_DEVICE = "No worker offers a device. Start one with: dask worker ADDRESS --resources DEVICE=1"


@dataclass
class Job:
    """A queued or running run.

    Attributes:
        before: signature of the folder's events when it was queued; while unchanged, no worker has started.
        task: the Dask task, once it was sent.
        cancelled: when the user cancelled it, on the monotonic clock.
    """

    recipe: Recipe
    folder: RunFolder
    before: Signature
    task: Task | None = None
    cancelled: float | None = None

    @property
    def started(self) -> bool:
        return self.folder.signature() != self.before


@dataclass
class Followed:
    """A folder whose parsed events are cached.

    Attributes:
        checked: signature of the events when the folder was last checked for damage.
        damage: what was found, None if it is sound.
    """

    tail: Tail
    checked: Signature = None
    damage: str | None = None


class RunQueue:
    """All queued and running runs of this process.

    Args:
        grace: seconds a cancelled run may take to stop before its process is killed.
        wake: tells the engine's thread that there is work.
    """

    def __init__(self, store: Store, grace: float, wake: Callable[[], None]) -> None:
        self._store, self._grace, self._wake = store, grace, wake
        # Guards `_jobs`, `_ends` and `_tails`, which the pages' threads share with the engine's.
        self._lock = threading.Lock()
        # By key, in the order in which they were queued.
        self._jobs: dict[str, Job] = {}
        self._ends: dict[str, RunRecord] = {}
        self._tails: OrderedDict[str, Followed] = OrderedDict()  # the least recently viewed first
        self._devices = 1  # as of the last turn of the engine's thread

    # For the pages: callable from any thread, returning immediately.

    def submit(self, recipe: Recipe) -> None:
        """Queue a pinned recipe, unless its run is finished, queued or running.

        Raises:
            StoreError: the store cannot take a run.
        """
        folder = self._store.folder(recipe.key)
        with self._lock:
            if recipe.key in self._jobs:
                return
        if folder.is_finished() and not folder.imported:
            return
        self._store.check_writable()
        if folder.imported:  # results without weights are replaced by a run computed here
            self._store.delete(folder.key)
        with self._lock:
            self._ends.pop(recipe.key, None)
            # `setdefault`: the lock was released meanwhile, and another page may have queued the same run.
            self._jobs.setdefault(recipe.key, Job(recipe, folder, folder.signature()))
        self._wake()

    def active(self) -> list[str]:
        """Return the keys in the order in which they were queued."""
        with self._lock:
            return list(self._jobs)

    def view(self, key: str, blocked: str = "") -> RunView:
        """Return the run as it is now; `blocked` says why the queue does not move.

        Raises:
            StoreError: there is no such run, or its folder is damaged.
        """
        with self._lock:
            job, end, jobs = self._jobs.get(key), self._ends.get(key), list(self._jobs.values())
        if job is not None and job.started:
            # the run ends when its task does: until then the worker cannot start it again
            record = self._follow(job.folder).tail.record
            return _view(record.model_copy(update={"state": "running", "error": None}))
        if job is not None:
            # Counts the runs ahead that no worker has started.
            place = 1 + [other.folder.key for other in jobs if other is job or not other.started].index(key)
            return RunView(
                RunRecord(key=key, recipe=job.recipe), "queued", place, blocked or self._wait(job, place)
            )
        if end is not None:
            return _view(end)
        return self._idle(self._store.find(key))

    def cancel(self, key: str) -> None:
        """Drop a queued run; ask a running one to stop."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.task is None:
                del self._jobs[key]
                if not job.folder.exists:  # the folder of an earlier attempt tells its own end
                    self._ends[key] = RunRecord(key=key, recipe=job.recipe, state="cancelled")
                return
            # The first request counts: clicking again does not extend the grace period.
            if job is not None and job.cancelled is None:
                job.cancelled = time.monotonic()
        folder = self._store.folder(key)
        # Also a run without a job here, such as one that the command line computes.
        if folder.exists and folder.locked:
            folder.request_cancel()
        self._wake()

    def _wait(self, job: Job, place: int) -> str:
        if not self._devices:
            return NO_DEVICE
        return "The run is about to start." if job.task is not None else f"Place {place} in the queue."

    def _idle(self, folder: RunFolder) -> RunView:
        if not folder.exists:
            raise StoreError(
                f"There is no run {folder.key} in {self._store.home}: it was deleted, or computed elsewhere."
            )
        followed = self._follow(folder)
        # Checking parses all events again, so only after the file has changed.
        if followed.checked is None or followed.checked != followed.tail.signature:
            followed.checked, followed.damage = followed.tail.signature, folder.damage()
        if followed.damage is not None:
            raise StoreError(followed.damage)
        return replace(
            _view(folder.with_derived_state(followed.tail.record)),
            recorded=folder.recorded,
            imported=folder.imported,
            has_weights=folder.has_weights,
        )

    def events(self, key: str) -> list[Event]:
        """All events of a run so far, in order, for watching it again.

        Raises:
            StoreError: there is no such run, or its events are damaged.
        """
        folder = self._store.find(key)
        if not folder.exists:
            raise StoreError(
                f"There is no run {key} in {self._store.home}: it was deleted, or computed elsewhere."
            )
        return folder.events()

    def _follow(self, folder: RunFolder) -> Followed:
        """Return the folder with its events up to date; only new events are read."""
        # Under the lock, because two threads must not refresh the same `Tail`.
        with self._lock:
            followed = self._tails.setdefault(folder.key, Followed(Tail(folder)))
            try:
                followed.tail.refresh()
            except StoreError:  # `RunFolder.damage` reports it in more detail
                followed = self._tails[folder.key] = Followed(Tail(folder))
            self._tails.move_to_end(folder.key)
            while len(self._tails) > FOLLOWED:
                self._tails.popitem(last=False)
            return followed

    # For the engine's thread.

    @property
    def waiting(self) -> bool:
        """Whether a run has not been sent yet."""
        with self._lock:
            return any(job.task is None for job in self._jobs.values())

    @property
    def cancelling(self) -> bool:
        """Whether a cancelled run has not stopped yet."""
        with self._lock:
            return any(job.cancelled is not None for job in self._jobs.values())

    def drive(self, cluster: Cluster) -> None:
        """Collect ended runs, stop the cancelled ones, and send as many runs as devices are free."""
        for job in self._sent():
            if job.task is not None and job.task.done():
                self._collect(job, cluster)
            elif job.cancelled is not None:
                self._stop(job, cluster, time.monotonic() - job.cancelled)
        if self.waiting:
            # A request to the scheduler, so only if there is something to send.
            self._devices = cluster.devices()
            self._send(cluster, self._devices - len(self._sent()))

    def lost(self, reason: str) -> None:
        """Interrupt what was sent to a cluster that has ended."""
        for job in self._sent():
            self._interrupt(job, reason)

    def fail(self, message: str) -> None:
        """Fail every run: there is no cluster to compute them."""
        with self._lock:
            for key, job in self._jobs.items():
                self._ends[key] = RunRecord(key=key, recipe=job.recipe, state="failed", error=message)
            self._jobs.clear()

    def _sent(self) -> list[Job]:
        # A copy: the callers remove jobs while they iterate.
        with self._lock:
            return [job for job in self._jobs.values() if job.task is not None]

    def _send(self, cluster: Cluster, free_devices: int) -> None:
        with self._lock:
            waiting = [job for job in self._jobs.values() if job.task is None][: max(0, free_devices)]
            for job in waiting:
                # An earlier attempt may have written events since the run was queued.
                job.before = job.folder.signature()
                # Plain values: the scheduler unpickles the arguments and must not import the recipe's modules
                # for it.
                fields = job.recipe.model_dump(mode="json")
                job.task = cluster.submit(worker.compute, str(self._store.home), fields, device=True)

    def _collect(self, job: Job, cluster: Cluster) -> None:
        assert job.task is not None
        answer = cluster.result(job.task)
        if answer is None:
            self._interrupt(job, KILLED)
        elif answer.failed:
            error = answer.message
            self._forget(job, RunRecord(key=job.recipe.key, recipe=job.recipe, state="failed", error=error))
        else:
            self._forget(job)

    def _stop(self, job: Job, cluster: Cluster, waited: float) -> None:
        """Cancel a run: set its marker again, in case its attempt has only just started and removed it; after
        the grace period, kill it.
        """
        if job.task is None or waited < self._grace:
            if job.started and not job.folder.cancel_requested:
                job.folder.request_cancel()
            return
        # A task that no worker has started is cancelled without killing a process.
        cluster.abort(job.task, kill=job.started)
        self._close(job, Cancelled(forced=True), "cancelled", "")

    def _interrupt(self, job: Job, reason: str) -> None:
        try:
            message = f"{reason} {retry_hint(RunRecord.fold(job.folder.events()))}"
        except StoreError:
            message = reason
        self._close(job, Interrupted(reason=message), "interrupted", message)

    def _close(self, job: Job, event: Event, state: State, error: str) -> None:
        """Record how a run ended whose process is gone: in its folder, or here if that is not possible."""
        unwritten = RunRecord(key=job.recipe.key, recipe=job.recipe, state=state, error=error or None)
        try:
            if job.started:
                with job.folder.lock(LOCK):  # free only once the process is gone
                    record = RunRecord.fold(job.folder.events())
                    # Otherwise it ended the run itself just before it died.
                    if record.state in ("empty", "running"):
                        job.folder.end(event.model_copy(update={"elapsed": record.elapsed}))
                    job.folder.clear_cancel()
                return self._forget(job)
        except Timeout:  # the process is still alive and continues, as its folder shows
            return self._forget(job)
        except StoreError:
            pass
        return self._forget(job, unwritten)

    def _forget(self, job: Job, end: RunRecord | None = None) -> None:
        with self._lock:
            self._jobs.pop(job.recipe.key, None)
            if end is not None:
                self._ends[job.recipe.key] = end
        self._wake()


def _view(record: RunRecord) -> RunView:
    # `empty`: the folder exists, but its first event is not written yet.
    state: ViewState = "running" if record.state == "empty" else record.state
    return RunView(record.model_copy(update={"state": state}), state, None, record.error or "")
