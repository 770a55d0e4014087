"""The questions that pages ask about runs and models: each returns what is known so far, and the first call
sends it to the worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from engine.jobs import messages, worker
from engine.jobs.library import Library
from engine.jobs.messages import message
from engine.jobs.questions import Answer
from engine.jobs.requests import LinearRequest, PreviewRequest, ReadRequest, TextRequest
from engine.jobs.views import Saved
from engine.models.gguf import unpacked
from engine.models.identity import looks_like_path, resolve

if TYPE_CHECKING:
    from engine.analysis.comparison.overlap import LinearOverlap
    from engine.analysis.microscope.types import Picture, Preview, Span, Spectrum, Study
    from engine.analysis.size_speed import Measurement
    from engine.evaluation.text_types import PromptTexts, Reading
    from engine.hardware.memory import Capacity
    from engine.models.shape import ModelSummary

Value = TypeVar("Value")
Args = TypeVarTuple("Args")

FRESH = 10.0  # seconds for which a measurement of the free memory is used


class Inquiries(Library):
    """What pages ask the worker, in addition to what the store answers."""

    _home: str
    _capacities: dict[str, Capacity]

    def _ask(
        self,
        function: Callable[[*Args], Value],
        *args: *Args,
        version: Hashable = None,
        quick: bool = False,
    ) -> Answer[Value]:
        """Ask `function` of `engine.jobs.worker`; see `Questions.ask`."""
        raise NotImplementedError

    @message(messages.short_text)
    def text(self, request: TextRequest) -> Answer[PromptTexts]:
        """Return a prompt as the dense and the pruned model continue it."""
        return self._ask(worker.continue_text, self._home, request)

    @message(messages.short_text)
    def read(self, request: ReadRequest) -> Answer[Reading]:
        """Return a text as a run's dense and pruned model read and continue it."""
        return self._ask(worker.read_text, self._home, request)

    @message(messages.shown_runs)
    def measure(self, key: str) -> Answer[Measurement]:
        """Return the size and speed of a finished run's model, dense and pruned."""
        return self._ask(worker.measure_run, self._home, key)

    @message(messages.shown_runs)
    def overlap(self, one: str, other: str) -> Answer[tuple[LinearOverlap, ...]]:
        """Return how far the masks of two finished runs agree, per linear."""
        return self._ask(worker.overlap_runs, self._home, one, other)

    @message(messages.shown_linear)
    def picture(
        self, request: LinearRequest, rows: Span | None = None, columns: Span | None = None
    ) -> Answer[Picture]:
        """Return a part of a linear as a picture; None means all rows or columns."""
        return self._ask(worker.picture_linear, self._home, request, rows, columns, quick=True)

    @message(messages.shown_linear)
    def inspect(self, request: LinearRequest) -> Answer[Study]:
        """Return what the calibration text shows about a linear."""
        return self._ask(worker.study_linear, self._home, request)

    @message(messages.shown_linear)
    def spectrum(self, request: LinearRequest) -> Answer[Spectrum]:
        """Return the singular values of a linear, dense and pruned."""
        return self._ask(worker.spectrum_linear, self._home, request)

    @message(messages.listed_preview)
    def preview(self, request: PreviewRequest) -> Answer[Preview]:
        """Return how a recipe's score and Wanda decide about one linear."""
        return self._ask(worker.preview_score, self._home, request)

    @message(messages.off("Saving models", "they would be stored on this machine"))
    def save(self, key: str) -> Answer[Saved]:
        """Write a finished run's pruned model into the run's folder and return where."""
        return self._ask(worker.save_run, self._home, key)

    @message(messages.listed_model)
    def summary(self, model: str, revision: str | None = None) -> Answer[ModelSummary]:
        """Return a model's summary."""
        # the summary says where the model's files are, so downloading or unpacking them changes it
        return self._ask(
            worker.summarise_model, model, revision, version=_files_here(model, revision), quick=True
        )

    @message(messages.anyone)
    def capacity(self, device: str) -> Answer[Capacity]:
        """Return the free memory and disk space for a run on `device` (or `auto`), at most `FRESH` seconds
        old once the next measurement has arrived.
        """
        # The version changes every `FRESH` seconds, which makes it a new question.
        answer = self._ask(
            worker.measure_capacity, self._home, device, version=int(time.monotonic() // FRESH), quick=True
        )
        if answer.value is not None:
            self._capacities[device] = answer.value
        return Answer(self._capacities[device]) if device in self._capacities else answer


def _files_here(model: str, revision: str | None) -> Hashable:
    """Return a value that changes with the model's files on this machine."""
    if (source := resolve(model)) != model or looks_like_path(model):
        return None if os.path.isdir(source) else unpacked.changed()
    from engine.hub.cache import snapshot

    try:
        return snapshot(model, revision) is not None
    except ValueError:  # not a valid model id
        return False
