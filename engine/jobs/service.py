"""The background engine, which all pages use. Every call returns immediately; a thread does what takes time.

Each message has a rule for the visitors of a public app (`engine.jobs.messages`).

The worker writes the run's folder and `view` reads it, so what a page shows does not depend on which process
computes the run. Two requests for the same recipe share one run. Only the thread imports Dask, so creating
the object costs a page nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from engine.corpora.user_texts import drop_unused_texts, touch_texts
from engine.errors import EngineError, PrunescopeError, PublicModeError, StoreError
from engine.events import Event
from engine.hardware.shared_cache import SHARED
from engine.jobs import messages
from engine.jobs.embedded import Embedded
from engine.jobs.exposure import exposures
from engine.jobs.health import STOPPED, Health, check
from engine.jobs.inquiries import Inquiries
from engine.jobs.messages import message
from engine.jobs.policy import Policy
from engine.jobs.presentations import Presentations
from engine.jobs.public import PublicMode
from engine.jobs.questions import Answer, Questions
from engine.jobs.queue import RunQueue
from engine.jobs.views import EngineStatus, RunView
from engine.recipe import Recipe, pin
from engine.recipe.real_model import pin_known
from engine.store.classes import Classes
from engine.store.import_run import set_all_aside
from engine.store.runs import Store
from engine.store.series import Series, is_similar, series
from engine.store.summary import RunSummary

if TYPE_CHECKING:
    from engine.cost.estimate import Cost
    from engine.hardware.memory import Capacity
    from engine.jobs.cluster import Cluster

Value = TypeVar("Value")
Args = TypeVarTuple("Args")

PAUSE = 1.0  # seconds between two looks at the cluster while it computes something
QUICK = 0.1  # the same while a run is being cancelled
IDLE = 60.0  # the same while there is nothing to do
LOST = "The background engine ended while it was computing this run."
ENDED = "The background engine ended unexpectedly."
CLOSED = "The app was closed while this run was being computed."
CONTINUE = "they continue automatically"
SHARED_RESULT = "its result is what others see"

_log = logging.getLogger(__name__)


class BackgroundEngine(Inquiries):
    """Computes runs and answers questions about them in other processes.

    Args:
        store: where runs are stored; by default the user's store.
        scheduler: address of an existing Dask scheduler, by default from `PRUNESCOPE_SCHEDULER`. Without one,
            an embedded cluster is started.
        grace: seconds a cancelled run may take to stop before its worker process is restarted.
        policy: what visitors may do; by default from `PRUNESCOPE_PUBLIC`. None if there are no visitors.
        visitor: returns the identity of the session whose message is being answered, as the server knows it.
        delay: most seconds between `start` and the beginning of the work, see `begun`.

    Attributes:
        begun: set by the first run that is queued, or earlier by others: until then the processor is left to
            the page, since importing Dask and starting the workers takes seconds.
    """

    def __init__(
        self,
        store: Store | None = None,
        scheduler: str | None = None,
        grace: float = 5.0,
        *,
        policy: Policy | None = None,
        visitor: Callable[[], str] = str,
        delay: float = 0.0,
    ) -> None:
        self.store = store or Store()
        self._home = str(self.store.home)
        self.classes, self.visitor = Classes(self.store.home), visitor
        self._delay, self.begun = delay, threading.Event()
        self._scheduler = scheduler or os.environ.get("PRUNESCOPE_SCHEDULER") or None
        # Set by the pages' and Dask's threads, cleared by the engine's thread only.
        self._wake = threading.Event()
        if policy is None:
            policy = Policy.from_environment()
        self.public = PublicMode(policy, self.store, visitor, self._scheduler) if policy else None
        owner = self.public.owner if self.public else None
        self._runs = RunQueue(self.store, grace, self._wake.set, owner)
        self._questions = Questions(self._wake.set, SHARED)
        self._presentations = Presentations(self._talks.load)
        # The last known, shown while the next measurement is under way.
        self._capacities: dict[str, Capacity] = {}
        # Written by the engine's thread only. A status is replaced as a whole, so pages read it without a
        # lock.
        self._cluster: Cluster | None = None
        self._status = EngineStatus("starting", "The engine has not been started yet.")
        self._thread: threading.Thread | None = None
        # Guards `_thread` and `_closed`, so that at most one thread is ever started.
        self._starting = threading.Lock()
        # `_wanted`: connect although nothing waits yet, so that the engine is ready for the first run.
        self._wanted = self._closed = False

    def start(self) -> None:
        """Start the cluster in the background."""
        with self._starting:
            if self._closed:
                raise EngineError("The background engine was closed. Restart the app.")
            if self._thread is None:
                self._wanted = True
                # Before the thread, whose first act is to delete texts that are long unused.
                for recipe in self._runs.restore():
                    self._keep_texts(recipe)
                    if self.public and recipe.origins:  # method files are off in public mode
                        self._runs.cancel(recipe.key)
                if self.public:
                    self._continue_held()
                self._thread = threading.Thread(target=self._loop, name="prunescope-engine", daemon=True)
                self._thread.start()

    @message(messages.anyone)
    def exposures(self) -> list[str]:
        """Return a sentence for each way in which others can get at the runs or the workers. Visitors are not
        told; the log has them too.
        """
        return [] if self.public else exposures(self.store.home, self._scheduler)

    @property
    @message(messages.anyone)
    def status(self) -> EngineStatus:
        """The engine's state now."""
        return self._status

    def health(self) -> Health:
        """Ask the workers whether they answer, and return whether the engine works. Unlike the other methods
        it waits, up to `engine.jobs.health.PATIENCE` seconds.
        """
        if self._thread is not None and not self._thread.is_alive():
            return STOPPED
        return check(self._status, self._cluster)

    @message(messages.listed_recipe)
    def submit(self, recipe: Recipe) -> str:
        """Queue a recipe, unless its run is finished, running or queued already, and return the run's key.

        Raises:
            RecipeError: a file named by the recipe does not exist.
            StoreError: the store cannot take a run.
            EngineError: the engine was closed.
            PublicModeError: visitors may not start it.
        """
        pinned = pin(recipe)
        self._keep_texts(pinned)
        self.start()
        with self._admission(pinned):
            self._runs.submit(pinned)
        self.begun.set()
        return pinned.key

    @message(messages.off("Computing a finished run again", SHARED_RESULT))
    def repeat(self, recipe: Recipe) -> str:
        """Queue a recipe although its run may be finished here, and return the run's key. The result is the
        same; while it is being computed, there is only what is done so far.

        Raises:
            RecipeError, StoreError, EngineError: as for `submit`.
        """
        pinned = pin(recipe)
        self._keep_texts(pinned)
        self.start()
        self._runs.submit(pinned, again=True)
        self.begun.set()
        return pinned.key

    def _admission(self, recipe: Recipe) -> AbstractContextManager[None]:
        """Return a context that checks the limits of public mode and in which a pinned recipe is queued."""
        if self.public is None or self._runs.has(recipe):
            return nullcontext()
        return self.public.admission(recipe, self._runs.active, lambda: self._cost(recipe))

    def _cost(self, recipe: Recipe) -> Cost:
        from engine.cost.estimate import estimate  # imports the model library

        model = self.summary(recipe.model)
        if model.failed:
            raise EngineError(model.message)
        if model.value is None:
            raise PublicModeError(
                "The engine is still reading the model, so the cost of this run is not known. Try again in a "
                "few seconds.",
                kind="starting",
            )
        return estimate(recipe, model.value, self.capacity(recipe.device).value)

    @message(messages.shown_runs)
    def view(self, key: str) -> RunView:
        """Return the run as it is now.

        Raises:
            StoreError: there is no such run, or its folder is damaged.
        """
        return self._runs.view(key, "" if self._status.state == "ready" else self._status.message)

    @message(messages.shown_runs)
    def events(self, key: str) -> list[Event]:
        """Return all events of a run so far, in order, for a replay.

        Raises:
            StoreError: there is no such run, or its events are damaged.
        """
        return self._runs.events(key)

    @message(messages.anyone)
    def runs(self) -> list[RunSummary]:
        """Return all runs: the user's, the last changed first, then the bundled ones except those that the
        user has finished too.
        """
        return self._with_own(self.store.recorded)

    def _with_own(self, recorded: Iterable[RunSummary]) -> list[RunSummary]:
        own = self.store.list()
        keys = {run.key for run in own if run.state == "finished"}
        return [*own, *(run for run in recorded if run.key not in keys)]

    @message(messages.shown_recipe)
    def series(self, recipe: Recipe) -> Series:
        """Return the finished runs that differ from a recipe in the sparsity at most.

        Raises:
            RecipeError: a file named by the recipe does not exist.
        """
        runs = self._with_own(self.store.recorded_like(recipe))
        similar = [run for run in runs if is_similar(run, recipe)]
        # Pinning reads the files that the recipe names: only if there may be a run of them.
        return series(similar, pin_known(recipe) if similar or self.active() else recipe)

    @message(messages.anyone)
    def active(self) -> list[str]:
        """Return the keys of the queued and running runs, in order."""
        return self._runs.active()

    @message(messages.anyone)
    def held(self) -> list[str]:
        """Return the keys of the runs that an app which ended had accepted, in order; they wait for the
        user's decision. In public mode they continue without one.
        """
        return [] if self.public else self._runs.held()

    @message(messages.off("Continuing runs of an ended app", CONTINUE))
    def resume_held(self) -> None:
        """Queue the held runs; one that had begun resumes after its last finished block.

        Raises:
            StoreError: the store cannot take a run; this one and the following are still held.
            EngineError: the engine was closed.
        """
        self.start()
        self._runs.resume_held()
        self.begun.set()

    @message(messages.off("Dropping runs of an ended app", CONTINUE))
    def drop_held(self) -> None:
        """Drop the held runs. One that had begun keeps its finished blocks."""
        self._runs.drop_held()

    @message(messages.own_run("Cancelling"))
    def cancel(self, key: str) -> None:
        """Drop a queued or held run; ask a running one to stop after its block, and kill it after `grace`."""
        self._runs.cancel(key)

    def _ask(
        self,
        function: Callable[[*Args], Value],
        *args: *Args,
        version: Hashable = None,
        quick: bool = False,
    ) -> Answer[Value]:
        """Ask `function` of `engine.jobs.worker`; see `Questions.ask`. A closed engine is a failed answer."""
        try:
            self.start()
        except EngineError as error:
            return Answer(message=str(error))
        return self._questions.ask(function, *args, version=version, quick=quick)

    def close(self) -> None:
        """End the embedded cluster, which interrupts its runs."""
        with self._starting:
            self._closed = True
        # Otherwise a thread that waits would notice only after the delay, or after `IDLE` seconds.
        self.begun.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _continue_held(self) -> None:
        """Queue what an ended app has left: in public mode, no owner is there to decide."""
        try:
            self._runs.resume_held()
        except StoreError as error:
            _log.warning("Runs of an ended app do not continue: %s", error)

    def _keep_texts(self, recipe: Recipe) -> None:
        touch_texts((recipe.calibration, *recipe.evaluations), self.texts)

    # The methods below run in the engine's thread.

    def _loop(self) -> None:
        self.begun.wait(self._delay)
        self.begun.set()
        for sentence in exposures(self.store.home, self._scheduler):
            _log.warning(sentence)
        drop_unused_texts(self.texts)
        set_all_aside(self.store)
        # Only at the start: until the app ends, a deleted run can be restored.
        self.store.empty_trash()
        for model in self.public.policy.models if self.public else ():
            self.summary(model)  # so that the cost is known when the first visitor starts a run
        while not self._closed:
            try:
                self._turn()
            except Exception:  # without this thread, no page would ever hear of a run again
                _log.exception("Unexpected error in the background engine; it continues.")
            # Cleared after the wait and not after the turn: what arrives during a turn causes another one at
            # once.
            self._wake.wait(self._pause())
            self._wake.clear()
        self._runs.close()
        self._drop(CLOSED)

    def _pause(self) -> float:
        """Return the seconds until the next turn, unless something wakes the thread earlier: a new run or
        question, and the end of a task. Only the death of the cluster has to be polled for.
        """
        if self._runs.cancelling:
            return QUICK
        return PAUSE if self._runs.active() or self._questions.busy else IDLE

    def _turn(self) -> None:
        if self._cluster is not None and not self._cluster.alive:
            self._drop(LOST)
            self._status = EngineStatus("ended", f"{ENDED} It restarts with the next run.")
        # A cluster that ended is replaced only when there is work for it.
        if self._cluster is None and (self._wanted or self._runs.waiting or self._questions.waiting):
            self._connect()
        if self._cluster is not None:
            self._runs.drive(self._cluster)
            self._questions.drive(self._cluster)

    def _connect(self) -> None:
        self._wanted = False
        self._status = EngineStatus("starting", "The engine is starting.")
        try:
            # The process imports Dask, which is slow, while this one does; not with this module, which every
            # page imports.
            scheduler = self._scheduler or Embedded()
            from engine.jobs.cluster import Cluster

            self._cluster = Cluster(self.store.home, scheduler, self._wake.set)
            self._status = EngineStatus("ready", "The engine is ready.")
        except Exception as error:
            known = isinstance(error, PrunescopeError)
            message = (
                str(error)
                if known
                else f"The background engine could not be started ({type(error).__name__}: {error})."
            )
            if not known:
                _log.exception(message)
            self._status = EngineStatus("failed", message)
            # What was queued fails with this message; the next run or question tries to connect again.
            self._runs.fail(message)
            self._questions.fail(message)

    def _drop(self, reason: str) -> None:
        """Disconnect from the cluster, and retry or interrupt what was sent to it."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            # Before `lost`, which needs the locks of runs that the embedded worker may still hold.
            cluster.close()
        self._runs.lost(reason)
        self._questions.lost()
