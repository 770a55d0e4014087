"""One run of the queue: whether a worker has begun it, and how it ends if its worker cannot say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from engine.errors import StoreError
from engine.events import Cancelled, Event, Interrupted
from engine.jobs.silence import Silence
from engine.recipe import Recipe
from engine.record import RunRecord, State
from engine.store.folder import RunFolder, Signature, retry_hint

if TYPE_CHECKING:
    from engine.jobs.dask_client import Task

LOCK = 5.0  # seconds until a killed process has released the lock


@dataclass(frozen=True)
class Needs:
    """What decides whether a run may be computed next to others on a machine.

    Attributes:
        one_thread: whether it computes on the CPU, with one thread per operation. Its result is then the same
            whatever runs next to it.
        host: estimated bytes of the host's memory at the peak.
    """

    one_thread: bool = False
    host: int = 0


@dataclass
class Job:
    """A queued or running run.

    Attributes:
        before: signature of the folder's events when it was queued; while unchanged, no worker has started.
        task: the Dask task, once it was sent.
        worker: the address of the worker that it was sent to; empty if Dask chose one.
        needs: known once `weighing`, a question to a worker, is answered.
        obstacle: why it does not start next to the runs before it; empty if nothing keeps it.
        cancelled: when the user cancelled it, on the monotonic clock.
        again: whether the run is computed from the beginning although it may be finished.
        silence: who has stopped answering, so that it cannot continue.
    """

    recipe: Recipe
    folder: RunFolder
    before: Signature
    task: Task | None = None
    worker: str = ""
    needs: Needs | None = None
    weighing: Task | None = None
    obstacle: str = ""
    cancelled: float | None = None
    again: bool = False
    silence: Silence | None = None

    @property
    def started(self) -> bool:
        return self.folder.signature() != self.before

    def record(self, state: State, error: str | None = None) -> RunRecord:
        """Return a record that tells only how the run ended."""
        return RunRecord(key=self.recipe.key, recipe=self.recipe, state=state, error=error)

    def end_interrupted(self, reason: str) -> RunRecord | None:
        """Record that the run's process is gone; see `end_cancelled`."""
        try:
            message = f"{reason} {retry_hint(self.folder.fold(self.folder.events()))}"
        except StoreError:
            message = reason
        return self._end(Interrupted(reason=message), self.record("interrupted", message))

    def end_cancelled(self) -> RunRecord | None:
        """Record that the run's process was killed because the user cancelled it.

        Returns:
            How it ended, if the folder does not tell, because the disk refuses.
        """
        return self._end(Cancelled(forced=True), self.record("cancelled"))

    def _end(self, event: Event, unwritten: RunRecord) -> RunRecord | None:
        if not self.started:
            return unwritten
        try:
            with self.folder.lock(LOCK):  # free only once the process is gone
                record = self.folder.fold(self.folder.events())
                # Otherwise it ended the run itself just before it died.
                if record.state in ("empty", "running"):
                    self.folder.end(event.model_copy(update={"elapsed": record.elapsed}))
                self.folder.clear_cancel()
        except Timeout:  # the process is still alive and continues, as its folder shows
            return None
        except StoreError:
            return unwritten
        return None
