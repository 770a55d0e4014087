"""The engine in the background: what the pages hold. Every call returns at once; a thread does all that takes
time.

The worker writes the run folder itself and `view` follows that folder, so what a page shows does not depend
on who computes. Two that ask for the same recipe get the same run. Dask is imported by the thread only:
making the object costs a page nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpora.user_texts import drop_unused_texts, touch_texts
from engine.errors import EngineError, PrunescopeError
from engine.events import Event
from engine.jobs.questions import Answers
from engine.jobs.queue import Runs
from engine.jobs.requests import LinearRequest, ReadRequest, TextRequest
from engine.jobs.views import (
    CapacityView,
    EngineStatus,
    InspectionView,
    MeasurementView,
    OverlapView,
    ReadingView,
    RunView,
    SaveView,
    SummaryView,
    TextView,
)
from engine.models.identity import looks_like_path, resolve
from engine.recipe import Recipe, pin
from engine.store.runs import RunSummary, Store

if TYPE_CHECKING:
    from engine.analysis.microscope.types import Picture, Span, Spectrum, Study
    from engine.hardware.memory import Capacity
    from engine.jobs.cluster import Cluster

FRESH = 10.0  # seconds for which what is free is taken to stay so
PAUSE = 1.0  # seconds between two looks at the cluster when nothing happens
QUICK = 0.1  # the same while a cancel is under way
LOST = "The background engine ended while it computed this run."
ENDED = "The background engine ended unexpectedly."
CLOSED = "The app was closed while this run was computed."

_log = logging.getLogger(__name__)


class BackgroundEngine:
    """Runs, texts and summaries, computed elsewhere.

    Args:
        store: where runs are kept; the default store when left out.
        scheduler: address of a Dask scheduler that is there; by default what `PRUNESCOPE_SCHEDULER` says.
            Without any, an embedded cluster is started.
        grace: seconds that a cancelled run has to stop by itself, before its worker process is restarted.
    """

    def __init__(self, store: Store | None = None, scheduler: str | None = None, grace: float = 5.0) -> None:
        self.store = store or Store()
        self._scheduler = scheduler or os.environ.get("PRUNESCOPE_SCHEDULER") or None
        self._wake = threading.Event()
        self._runs = Runs(self.store, grace, self._wake.set)
        self._answers = Answers(self._wake.set)
        self._capacities: dict[str, Capacity] = {}
        self._cluster: Cluster | None = None
        self._status = EngineStatus("starting", "The engine has not been started yet.")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wanted = self._closed = False

    def start(self) -> None:
        """Begin to start the cluster, and return."""
        with self._starting:
            if self._closed:
                raise EngineError("The background engine was closed. Restart the app.")
            if self._thread is None:
                self._wanted = True
                self._thread = threading.Thread(target=self._loop, name="prunescope-engine", daemon=True)
                self._thread.start()

    @property
    def texts(self) -> Path:
        """Where texts that people bring along are kept."""
        return self.store.home / "texts"

    @property
    def status(self) -> EngineStatus:
        """How the engine is."""
        return self._status

    def submit(self, recipe: Recipe) -> str:
        """Have a recipe computed, unless it is finished, running or queued already; the key of its run.

        Raises:
            RecipeError: a file that the recipe names is not there.
            StoreError: the store cannot take a run.
            EngineError: the engine was closed.
        """
        pinned = pin(recipe)
        touch_texts((pinned.calibration, *pinned.evaluations), self.texts)
        self.start()
        self._runs.submit(pinned)
        return pinned.key

    def view(self, key: str) -> RunView:
        """The run as it is now.

        Raises:
            StoreError: there is no such run, or its folder is damaged.
        """
        return self._runs.view(key, "" if self._status.state == "ready" else self._status.message)

    def events(self, key: str) -> list[Event]:
        """All events of a run so far, in order, for watching it again.

        Raises:
            StoreError: there is no such run, or its events are damaged.
        """
        return self._runs.events(key)

    def runs(self) -> list[RunSummary]:
        """All runs: one's own, the last changed first, then the recorded ones that one has not finished
        oneself.
        """
        own = self.store.list()
        keys = {run.key for run in own if run.state == "finished"}
        return [*own, *(run for run in self.store.recorded if run.key not in keys)]

    def active(self) -> list[str]:
        """Keys of the runs that are queued or running, in order."""
        return self._runs.active()

    def cancel(self, key: str) -> None:
        """Drop a queued run; ask a running one to stop behind its block, and force it to after the grace
        period.
        """
        self._runs.cancel(key)

    def text(self, request: TextRequest) -> TextView:
        """The dense and the pruned model's continuation of a prompt, once there is one; the first call asks
        for it.
        """
        self.start()
        found = self._answers.ask(request, "continue_text", str(self.store.home), request)
        return TextView(found.state, found.value, found.message)

    def read(self, request: ReadRequest) -> ReadingView:
        """What a run's model makes of a text, once it has read it; the first call asks for it."""
        self.start()
        found = self._answers.ask(request, "read_text", str(self.store.home), request)
        return ReadingView(found.state, found.value, found.message)

    def measure(self, key: str) -> MeasurementView:
        """The size and speed of a finished run's model, once they are measured; the first call asks for it."""
        self.start()
        found = self._answers.ask(("measure", key), "measure_run", str(self.store.home), key)
        return MeasurementView(found.state, found.value, found.message)

    def overlap(self, one: str, other: str) -> OverlapView:
        """What the masks of two finished runs share, once it is counted; the first call asks for it."""
        self.start()
        found = self._answers.ask(("overlap", one, other), "overlap_runs", str(self.store.home), one, other)
        return OverlapView(found.state, found.value or (), found.message)

    def picture(
        self, request: LinearRequest, rows: Span | None = None, columns: Span | None = None
    ) -> InspectionView[Picture]:
        """A part of a linear (all of it where None) as a picture, once there is one; the first call asks for
        it.
        """
        self.start()
        found = self._answers.ask(
            ("picture", request, rows, columns),
            "picture_linear",
            str(self.store.home),
            request,
            rows,
            columns,
        )
        return InspectionView(found.state, found.value, found.message)

    def inspect(self, request: LinearRequest) -> InspectionView[Study]:
        """What the calibration text says about a linear, once it has passed; the first call asks for it."""
        self.start()
        found = self._answers.ask(("study", request), "study_linear", str(self.store.home), request)
        return InspectionView(found.state, found.value, found.message)

    def spectrum(self, request: LinearRequest) -> InspectionView[Spectrum]:
        """The singular values of a linear, dense and pruned, once they are computed; the first call asks for
        them.
        """
        self.start()
        found = self._answers.ask(("spectrum", request), "spectrum_linear", str(self.store.home), request)
        return InspectionView(found.state, found.value, found.message)

    def save(self, key: str) -> SaveView:
        """A finished run's pruned model as a directory in the run's folder, once it is written; the first
        call asks for it.
        """
        self.start()
        found = self._answers.ask(("save", key), "save_run", str(self.store.home), key)
        return SaveView(found.state, found.value, found.message)

    def summary(self, model: str, revision: str | None = None) -> SummaryView:
        """A model's shape, once it is known; the first call asks for it."""
        self.start()
        known = (
            "summary",
            model,
            revision,
            _is_here(model, revision),
        )  # where its files are is part of the answer
        found = self._answers.ask(known, "summarise_model", model, revision)
        return SummaryView(found.state, found.value, found.message)

    def capacity(self, device: str) -> CapacityView:
        """What is free for a run on `device` (or `auto`), as it was a moment ago; the first call asks for it."""
        self.start()
        found = self._answers.ask(
            ("capacity", device, time.monotonic() // FRESH), "measure_capacity", str(self.store.home), device
        )
        if found.state == "done":
            self._capacities[device] = found.value
        elif device in self._capacities:
            return CapacityView("done", self._capacities[device])
        return CapacityView(found.state, found.value, found.message)

    def close(self) -> None:
        """End the embedded cluster; runs that are computed there are interrupted."""
        with self._starting:
            self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    # What follows runs in the engine's thread.

    def _loop(self) -> None:
        drop_unused_texts(self.texts)
        self.store.empty_trash()
        while not self._closed:
            try:
                self._turn()
            except Exception:  # the thread must live: without it no page would ever hear of a run again
                _log.exception("The background engine stumbled and goes on.")
            self._wake.wait(QUICK if self._runs.cancelling else PAUSE)
            self._wake.clear()
        self._drop(CLOSED)

    def _turn(self) -> None:
        if self._cluster is not None and not self._cluster.alive:
            self._drop(LOST)
            self._status = EngineStatus("starting", f"{ENDED} It is started again with the next run.")
        if self._cluster is None and (self._wanted or self._runs.waiting or self._answers.waiting):
            self._connect()
        if self._cluster is not None:
            self._runs.drive(self._cluster)
            self._answers.drive(self._cluster)

    def _connect(self) -> None:
        self._wanted = False
        self._status = EngineStatus("starting", "The engine is starting.")
        try:
            from engine.jobs.cluster import Cluster

            self._cluster = Cluster(self.store.home, self._scheduler, self._wake.set)
            self._status = EngineStatus("ready", "The engine is ready.")
        except Exception as error:
            known = isinstance(error, PrunescopeError)
            sentence = (
                str(error)
                if known
                else f"The background engine could not be started ({type(error).__name__}: {error})."
            )
            if not known:
                _log.exception(sentence)
            self._status = EngineStatus("failed", sentence)
            self._runs.fail(sentence)
            self._answers.fail(sentence)

    def _drop(self, reason: str) -> None:
        """Let go of the cluster, and of what was sent to it."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
        self._runs.lost(reason)
        self._answers.lost()


def _is_here(model: str, revision: str | None) -> bool:
    """Whether a model of the hub is complete on this machine."""
    if resolve(model) != model or looks_like_path(model):
        return True
    from engine.hub.cache import snapshot

    try:
        return snapshot(model, revision) is not None
    except ValueError:  # no id that the hub could have
        return False
