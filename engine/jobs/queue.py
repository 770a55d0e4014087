"""The runs that are queued or being computed.

They wait here and are sent to Dask one a device, so a worker that dies takes none of the waiting ones with
it. What a run is doing is read from its folder; kept here is only what no folder shows: the queue, and ends
that could not be written down.
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
from engine.store import repair
from engine.store.folder import RunFolder, Signature, retry_hint
from engine.store.follow import Tail
from engine.store.runs import Store

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster, Task

LOCK = 5.0  # seconds until a killed process has let go of the lock
FOLLOWED = 64  # runs whose events are kept read
KILLED = "The worker process that computed this run was killed, maybe because memory ran out."
NO_DEVICE = "No worker offers a device. Start one with: dask worker ADDRESS --resources DEVICE=1"


@dataclass
class Job:
    """A run on its way.

    Attributes:
        before: the folder's events at the time of the request; as long as they are the same, no worker has
            begun.
        task: once it was sent.
        cancelled: when a person cancelled it, on the monotonic clock.
    """

    recipe: Recipe
    folder: RunFolder
    before: Signature
    task: Task | None = None
    cancelled: float | None = None

    @property
    def begun(self) -> bool:
        return self.folder.signature() != self.before


@dataclass
class Followed:
    """A folder whose events are kept read; what is `wrong` with it was `checked` when the events were like
    this.
    """

    tail: Tail
    checked: Signature = None
    wrong: str | None = None


class Runs:
    """All runs of this process.

    Args:
        grace: seconds a cancelled run may take to stop before its process is killed.
        wake: tells the engine's thread that there is work.
    """

    def __init__(self, store: Store, grace: float, wake: Callable[[], None]) -> None:
        self._store, self._grace, self._wake = store, grace, wake
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._ends: dict[str, RunRecord] = {}
        self._tails: OrderedDict[str, Followed] = OrderedDict()
        self._devices = 1

    # For the pages: from any thread, at once.

    def submit(self, recipe: Recipe) -> None:
        """Queue a pinned recipe, unless it is finished or on its way.

        Raises:
            StoreError: the store cannot take a run.
        """
        folder = self._store.folder(recipe.key)
        with self._lock:
            if recipe.key in self._jobs:
                return
        if repair.is_finished(folder) and not folder.imported:
            return
        self._store.check_writable()
        if folder.imported:  # numbers from elsewhere make room for a run of one's own
            self._store.delete(folder.key)
        with self._lock:
            self._ends.pop(recipe.key, None)
            self._jobs.setdefault(recipe.key, Job(recipe, folder, folder.signature()))
        self._wake()

    def active(self) -> list[str]:
        """Keys in the order of their requests."""
        with self._lock:
            return list(self._jobs)

    def view(self, key: str, hindrance: str = "") -> RunView:
        """The run as it is now; `hindrance` is why the queue does not move.

        Raises:
            StoreError: there is no such run, or its folder is damaged.
        """
        with self._lock:
            job, end, jobs = self._jobs.get(key), self._ends.get(key), list(self._jobs.values())
        if job is not None and job.begun:
            record = self._follow(
                job.folder
            ).tail.record  # it has ended when its worker is back, ready for a new try
            return _seen(record.model_copy(update={"state": "running", "error": None}))
        if job is not None:
            place = 1 + [other.folder.key for other in jobs if other is job or not other.begun].index(key)
            return RunView(
                RunRecord(key=key, recipe=job.recipe), "queued", place, hindrance or self._wait(job, place)
            )
        if end is not None:
            return _seen(end)
        return self._idle(self._store.find(key))

    def cancel(self, key: str) -> None:
        """Drop a queued run; ask a running one to stop."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.task is None:
                del self._jobs[key]
                if not job.folder.exists:
                    self._ends[key] = RunRecord(key=key, recipe=job.recipe, state="cancelled")
                return
            if job is not None and job.cancelled is None:
                job.cancelled = time.monotonic()
        folder = self._store.folder(key)
        if folder.exists and folder.locked:
            folder.request_cancel()
        self._wake()

    def _wait(self, job: Job, place: int) -> str:
        if not self._devices:
            return NO_DEVICE
        return "The run is about to begin." if job.task is not None else f"Place {place} in the queue."

    def _idle(self, folder: RunFolder) -> RunView:
        if not folder.exists:
            raise StoreError(
                f"There is no run {folder.key} in {self._store.home}: it was deleted, or computed elsewhere."
            )
        followed = self._follow(folder)
        if followed.checked is None or followed.checked != followed.tail.signature:
            followed.checked, followed.wrong = followed.tail.signature, repair.damage(folder)
        if followed.wrong is not None:
            raise StoreError(followed.wrong)
        return replace(
            _seen(folder.with_derived_state(followed.tail.record)),
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
        """The fold of a folder's events, of which only the new ones are read."""
        with self._lock:
            followed = self._tails.setdefault(folder.key, Followed(Tail(folder)))
            try:
                followed.tail.refresh()
            except StoreError:  # `repair.damage` will say so in more detail
                followed = self._tails[folder.key] = Followed(Tail(folder))
            self._tails.move_to_end(folder.key)
            while len(self._tails) > FOLLOWED:
                self._tails.popitem(last=False)
            return followed

    # For the engine's thread.

    @property
    def waiting(self) -> bool:
        """Whether there is a run that was not sent yet."""
        with self._lock:
            return any(job.task is None for job in self._jobs.values())

    @property
    def cancelling(self) -> bool:
        """Whether a run has been told to stop and has not yet."""
        with self._lock:
            return any(job.cancelled is not None for job in self._jobs.values())

    def drive(self, cluster: Cluster) -> None:
        """Take ended runs in, press the cancelled ones, and send out as many as there are devices free."""
        for job in self._sent():
            if job.task is not None and job.task.done():
                self._collect(job, cluster)
            elif job.cancelled is not None:
                self._press(job, cluster, time.monotonic() - job.cancelled)
        if self.waiting:
            self._devices = cluster.devices()
            self._send(cluster, self._devices - len(self._sent()))

    def lost(self, reason: str) -> None:
        """The cluster is gone, and what it computed is interrupted."""
        for job in self._sent():
            self._interrupt(job, reason)

    def fail(self, sentence: str) -> None:
        """There is no cluster to send the queue to."""
        with self._lock:
            for key, job in self._jobs.items():
                self._ends[key] = RunRecord(key=key, recipe=job.recipe, state="failed", error=sentence)
            self._jobs.clear()

    def _sent(self) -> list[Job]:
        with self._lock:
            return [job for job in self._jobs.values() if job.task is not None]

    def _send(self, cluster: Cluster, room: int) -> None:
        with self._lock:
            waiting = [job for job in self._jobs.values() if job.task is None][: max(0, room)]
            for job in waiting:
                job.before = job.folder.signature()
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

    def _press(self, job: Job, cluster: Cluster, waited: float) -> None:
        """Cancel a run: the marker is set again, in case the try that it is meant for has just begun; then by
        force.
        """
        if job.task is None or waited < self._grace:
            if job.begun and not job.folder.cancel_requested:
                job.folder.request_cancel()
            return
        cluster.abort(job.task, kill=job.begun)
        self._close(job, Cancelled(forced=True), "cancelled", "")

    def _interrupt(self, job: Job, reason: str) -> None:
        try:
            sentence = f"{reason} {retry_hint(RunRecord.fold(job.folder.events()))}"
        except StoreError:
            sentence = reason
        self._close(job, Interrupted(reason=sentence), "interrupted", sentence)

    def _close(self, job: Job, event: Event, state: State, sentence: str) -> None:
        """Write down how a run ended whose process is gone; where that is not possible, remember it."""
        unwritten = RunRecord(key=job.recipe.key, recipe=job.recipe, state=state, error=sentence or None)
        try:
            if job.begun:
                with job.folder.lock(LOCK):
                    record = RunRecord.fold(job.folder.events())
                    if record.state in ("empty", "running"):
                        job.folder.end(event.model_copy(update={"elapsed": record.elapsed}))
                    job.folder.clear_cancel()
                return self._forget(job)
        except Timeout:  # the process is not gone: it goes on, and its folder says so
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


def _seen(record: RunRecord) -> RunView:
    state: ViewState = "running" if record.state == "empty" else record.state
    return RunView(record.model_copy(update={"state": state}), state, None, record.error or "")
