"""The queue of runs.

Runs wait here and are sent to Dask one per worker (`engine.jobs.dispatch` chooses which), so a dying worker
affects none of the waiting ones. The
progress of a run is read from its folder; only the queue itself, and ends that could not be written to a
folder, are held here. What is in the queue is on the disk as well (`engine.jobs.accepted`): after a restart
it is held until the user says whether to continue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import COMMAND
from engine.errors import StoreError
from engine.events import Event
from engine.jobs import worker
from engine.jobs.accepted import AcceptedRuns
from engine.jobs.dispatch import Dispatcher
from engine.jobs.followed import FollowedRuns, attempt_words, view_of
from engine.jobs.job import Job
from engine.jobs.silence import Silence
from engine.jobs.views import RunView
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.import_run import set_aside
from engine.store.method_copies import keep_copies
from engine.store.runs import Store

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster

LISTEN = 5.0  # seconds between two checks that the workers answer
KILLED = "The worker process that computed this run was killed, possibly because memory ran out."
HELD = "The app ended before this run was done. Continue or drop it on Explore or Runs."
NO_DEVICE = f"No worker offers a device. Start one with: {COMMAND} worker ADDRESS"


class RunQueue:
    """All queued and running runs of this process.

    Args:
        grace: seconds a cancelled run may take to stop before its process is killed.
        wake: tells the engine's thread that there is work.
        owner: returns who has submitted a run, None if no visitor has. Of one owner's runs, one is
            computed at a time.
    """

    def __init__(
        self,
        store: Store,
        grace: float,
        wake: Callable[[], None],
        owner: Callable[[str], str | None] | None = None,
    ) -> None:
        self._store, self._grace, self._wake = store, grace, wake
        self._owner = owner or (lambda key: None)
        self._accepted = AcceptedRuns(store.home)
        # Guards `_jobs`, `_held` and `_ends`, which the pages' threads share with the engine's.
        self._lock = threading.Lock()
        # By key, in the order in which they were queued.
        self._jobs: dict[str, Job] = {}
        self._held: dict[str, Recipe] = {}  # what an earlier app left, in the same order
        self._ends: dict[str, RunRecord] = {}
        self._followed = FollowedRuns()
        self._listened = 0.0  # when the workers were last asked, on the monotonic clock
        self._dispatcher = Dispatcher()
        self._labels: Mapping[str, str] = {}  # of the workers, by address

    # For the pages: callable from any thread, returning immediately.

    def submit(self, recipe: Recipe, *, again: bool = False) -> None:
        """Queue a pinned recipe, unless its run is finished, queued or running.

        Args:
            again: queue it also if its run is finished; the new attempt replaces the result.

        Raises:
            StoreError: the store cannot take a run.
        """
        folder = self._store.folder(recipe.key)
        with self._lock:
            if recipe.key in self._jobs:
                return
        if folder.imported:  # by an earlier version, which stored imported runs under their recipe's key
            set_aside(folder)
        if _is_computed(folder) and not again:
            self._forget(recipe.key)
            return
        self._store.check_writable()
        keep_copies(self._store.home, recipe)
        # Before the page says so: what was accepted is not lost with this process.
        self._accepted.add(recipe)
        with self._lock:
            self._ends.pop(recipe.key, None)
            self._held.pop(recipe.key, None)
            # `setdefault`: the lock was released meanwhile, and another page may have queued the same run.
            self._jobs.setdefault(recipe.key, Job(recipe, folder, folder.signature(), again=again))
        self._wake()

    def has(self, recipe: Recipe) -> bool:
        """Return whether the run of a pinned recipe is finished, queued or running."""
        with self._lock:
            queued = recipe.key in self._jobs
        return queued or _is_computed(self._store.folder(recipe.key))

    def active(self) -> list[str]:
        """Return the keys in the order in which they were queued."""
        with self._lock:
            return list(self._jobs)

    def restore(self) -> list[Recipe]:
        """Hold what ended apps have left unfinished, and return it in order."""
        for recipe in self._accepted.adopt():
            if _is_computed(self._store.folder(recipe.key)):
                self._accepted.remove(recipe.key)
            else:
                self._held[recipe.key] = recipe
        return list(self._held.values())

    def held(self) -> list[str]:
        """Return the keys of the held runs, in order."""
        with self._lock:
            return list(self._held)

    def resume_held(self) -> None:
        """Queue all held runs.

        Raises:
            StoreError: the store cannot take a run; this one and the following are still held.
        """
        with self._lock:
            held = list(self._held.values())
        for recipe in held:
            self.submit(recipe)

    def view(self, key: str, blocked: str = "") -> RunView:
        """Return the run as it is now; `blocked` says why the queue does not move.

        Raises:
            StoreError: there is no such run, or its folder is damaged.
        """
        with self._lock:
            job, end, jobs = self._jobs.get(key), self._ends.get(key), list(self._jobs.values())
            held = dict(self._held)
        if job is not None and job.started:
            # the run ends when its task does: until then the worker cannot start it again
            record = self._followed.record(job.folder)
            view = view_of(record.model_copy(update={"state": "running", "error": None}))
            message = job.silence.sentence if job.silence else ""
            return replace(view, message=message, worker=self._labels.get(job.worker, ""))
        if job is not None:
            # Counts the runs ahead that no worker has started.
            place = 1 + [other.folder.key for other in jobs if other is job or not other.started].index(key)
            return RunView(
                RunRecord(key=key, recipe=job.recipe), "queued", place, blocked or self._wait(job, place)
            )
        folder = self._store.find(key)
        if folder.recorded:
            return replace(self._followed.view(folder), attempt=self._attempt(key, end))
        if end is not None:
            return view_of(end)
        if key in held and not folder.exists:
            return RunView(RunRecord(key=key, recipe=held[key]), "queued", 1 + list(held).index(key), HELD)
        return self._followed.view(self._existing(folder))

    def _attempt(self, key: str, end: RunRecord | None) -> str:
        """Return a sentence about how a run ended here whose recorded result is shown; empty if it never
        began, unless an error kept it from that.
        """
        own = self._store.folder(key)
        if not own.exists and (end is None or end.state == "cancelled"):
            return ""
        try:
            record = end if end is not None else self._followed.view(own).record
        except StoreError as error:  # damaged
            return str(error)
        return attempt_words(record)

    def cancel(self, key: str) -> None:
        """Drop a queued or held run; ask a running one to stop."""
        with self._lock:
            job, held = self._jobs.get(key), self._held.get(key)
            waiting = job.recipe if job is not None and job.task is None else held
            if waiting is not None:
                return self._drop(waiting)
            # The first request counts: clicking again does not extend the grace period.
            if job is not None and job.cancelled is None:
                job.cancelled = time.monotonic()
        folder = self._store.folder(key)
        # Also a run without a job here, such as one that the command line computes.
        if folder.exists and folder.locked:
            folder.request_cancel()
        self._wake()

    def _drop(self, recipe: Recipe) -> None:
        """Take a run that no worker has begun out of the queue; the caller holds the lock."""
        self._remove(recipe.key)
        if not self._store.folder(recipe.key).exists:  # the folder of an earlier attempt tells its own end
            self._ends[recipe.key] = RunRecord(key=recipe.key, recipe=recipe, state="cancelled")

    def drop_held(self) -> None:
        """Drop all held runs."""
        with self._lock:
            for recipe in list(self._held.values()):
                self._drop(recipe)

    def _wait(self, job: Job, place: int) -> str:
        if job.silence:
            return job.silence.sentence
        if not self.devices:
            return NO_DEVICE
        if job.task is not None:
            return "The run is about to start."
        return job.obstacle or f"Place {place} in the queue."

    def events(self, key: str) -> list[Event]:
        """All events of a run so far, in order, for watching it again.

        Raises:
            StoreError: there is no such run, or its events are damaged.
        """
        return self._existing(self._store.find(key)).events()

    def _existing(self, folder: RunFolder) -> RunFolder:
        if not folder.exists:
            raise StoreError(
                f"There is no run {folder.key} in {self._store.home}: it was deleted, or computed elsewhere."
            )
        return folder

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

    @property
    def devices(self) -> int:
        """How many runs can be computed at the same time, as of when there was last one to send."""
        return self._dispatcher.devices

    def silences(self) -> set[Silence]:
        """Return who keeps runs from ending because it has stopped answering."""
        return {job.silence for job in self._sent() if job.silence is not None}

    def drive(self, cluster: Cluster) -> None:
        """Collect ended runs, stop the cancelled ones, and send as many runs as devices are free."""
        for job in self._sent():
            if job.task is not None and job.task.done():
                self._collect(job, cluster)
            elif job.cancelled is not None:
                self._stop(job, cluster, time.monotonic() - job.cancelled)
        self._listen(cluster)
        # A request to the scheduler, so only if there is something to send or to learn.
        with suppress(OSError):  # it is stopped, or has just ended, which `Cluster.alive` will tell
            if self.waiting:
                self._send(cluster)
            elif not cluster.labels or any(job.worker not in cluster.labels for job in self._sent()):
                cluster.workers()
        self._labels = cluster.labels
        if cluster.fleet is not None:
            cluster.fleet.rest(busy=bool(self._jobs))

    def _listen(self, cluster: Cluster) -> None:
        """Notice, every few seconds, where the runs are, and whose worker has stopped answering."""
        tasks = {job.task.key: job for job in self._sent() if job.task is not None}
        if tasks and time.monotonic() - self._listened >= LISTEN:
            sightings = cluster.sightings(tasks.keys())
            for key, job in tasks.items():
                sighting = sightings.get(key)
                job.silence = sighting.silence if sighting else None
                if sighting and sighting.worker:
                    job.worker = sighting.worker
            self._listened = time.monotonic()

    def lost(self, reason: str) -> None:
        """Interrupt what was sent to a cluster that has ended."""
        for job in self._sent():
            self._forget(job.recipe.key, job.end_interrupted(reason))

    def fail(self, message: str) -> None:
        """Fail every run: there is no cluster to compute them. On the disk they stay accepted."""
        with self._lock:
            for key, job in self._jobs.items():
                self._ends[key] = job.record("failed", message)
            self._jobs.clear()

    def close(self) -> None:
        """Leave what has not ended to the next app; before `lost`, which ends it here."""
        self._accepted.close()

    def _sent(self) -> list[Job]:
        # A copy: the callers remove jobs while they iterate.
        with self._lock:
            return [job for job in self._jobs.values() if job.task is not None]

    def _send(self, cluster: Cluster) -> None:
        with self._lock:
            waiting = list(self._startable())
        choices = self._dispatcher.choose(cluster, self._sent(), waiting)
        with self._lock:
            for choice in choices:
                job = choice.job
                if self._jobs.get(job.recipe.key) is not job:  # dropped meanwhile
                    continue
                # An earlier attempt may have written events since the run was queued.
                job.before, job.worker = job.folder.signature(), choice.worker
                fields = job.recipe.model_dump(mode="json")
                job.task = cluster.submit(
                    worker.compute_again if job.again else worker.compute,
                    str(self._store.home),
                    job.recipe.key,
                    fields,
                    resource=choice.resource,
                    worker=choice.worker or None,
                )

    def _startable(self) -> Iterator[Job]:
        """Yield the waiting runs that may start now, in order; the caller holds the lock."""
        busy = {self._owner(key) for key, job in self._jobs.items() if job.task is not None}
        for key, job in self._jobs.items():
            owner = self._owner(key)
            if job.task is None and (owner is None or owner not in busy):
                busy.add(owner)
                yield job

    def _collect(self, job: Job, cluster: Cluster) -> None:
        assert job.task is not None
        answer = cluster.result(job.task)
        if answer is None:
            self._forget(job.recipe.key, job.end_interrupted(KILLED))
        elif answer.failed:
            self._forget(job.recipe.key, job.record("failed", answer.message))
        else:
            self._forget(job.recipe.key)

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
        if job.started:
            self._forget(job.recipe.key, job.end_cancelled())
        else:
            with self._lock:
                self._drop(job.recipe)
            self._wake()

    def _forget(self, key: str, end: RunRecord | None = None) -> None:
        """Take an ended run out of the queue; `end` tells how it ended if its folder does not."""
        with self._lock:
            self._remove(key)
            if end is not None:
                self._ends[key] = end
        self._wake()

    def _remove(self, key: str) -> None:
        for waiting in (self._jobs, self._held):
            waiting.pop(key, None)
        self._accepted.remove(key)


def _is_computed(folder: RunFolder) -> bool:
    return folder.is_finished() and not folder.imported
