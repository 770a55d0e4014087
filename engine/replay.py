"""Replay a run: its events on one clock, and the record as it was after any of them.

Pages draw nothing but the record, so a replay shows exactly what was shown live. In the events of a resumed
run the seconds start again at 0; a replay continues them.

A record that is stored without its events (`events_of`) gets them back, with approximate times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from engine.events import (
    Allocated,
    BlockMeasured,
    BlockPruned,
    CandidateChosen,
    CandidateTried,
    Evaluated,
    Event,
    Fetching,
    Finished,
    ModelLoaded,
    Noted,
    Resumed,
    RunStarted,
    TaskMeasured,
    TaskProgressed,
    WindowsReady,
    strength_words,
)
from engine.record import RunRecord
from engine.record.parts import ModelFacts

SHARED = tuple(name for name in ModelFacts.model_fields if name in ModelLoaded.model_fields)
"""Fields that `ModelLoaded` and the record's `ModelFacts` have in common."""


class Replay:
    """The events of a run, to step through. A place is a number of events; 0 is before the first."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def moments(self) -> list[float]:
        """The time of each event, in seconds since the run first began; never decreasing."""
        # The leading 0 makes the first pair the step to the first event.
        elapsed = [0.0, *(event.elapsed for event in self.events)]
        moments, now = [], 0.0
        for before, after in pairwise(elapsed):
            now += after - before if after >= before else after  # a lower time: the run was resumed
            moments.append(now)
        return moments

    @property
    def seconds(self) -> float:
        """How long the run took, without interruptions."""
        return self.moments[-1] if self.events else 0.0

    def moment(self, place: int) -> float:
        """Return the time of the last event before a place, in seconds."""
        return self.moments[place - 1] if place else 0.0

    def place_at(self, seconds: float) -> int:
        """Return the number of events in the first `seconds` of the run."""
        return bisect_right(self.moments, seconds)  # after all events of the same moment

    def record(self, place: int) -> RunRecord:
        """Return the record after the first `place` events."""
        return RunRecord.fold(self.events[:place])

    def describe(self, place: int) -> str:
        """Return the last event before a place in a few words."""
        return _describe(self.events[place - 1]) if place else "before the first event"


def _describe(event: Event) -> str:  # noqa: C901, PLR0911  (a line per kind of event)
    match event:
        case ModelLoaded():
            return "model loaded"
        case Fetching():
            return f"{event.doing} {event.what}"
        case WindowsReady():
            return f"{event.role} windows cut"
        case BlockMeasured():
            return f"block {event.index} measured"
        case CandidateTried():
            return f"{event.candidate.step} candidate {event.candidate.place} tried"
        case CandidateChosen():
            return f"{event.step} step: {strength_words(event.step, event.strength)} chosen"
        case Allocated():
            return "sparsity allocated"
        case BlockPruned():
            return f"block {event.index} pruned"
        case Evaluated():
            return "perplexity measured"
        case TaskProgressed() | TaskMeasured():
            return f"{event.which} model evaluated on a task"
        case Resumed():
            return f"resumed after {event.blocks} blocks"
    return type(event).__name__.lower().replace("runstarted", "run started")


def events_of(record: RunRecord) -> list[Event]:
    """Return the events that fold to a finished record: the inverse of `RunRecord.fold`.

    Only windows and blocks keep their times. Earlier events are dated to the beginning, later ones to the
    end.

    Raises:
        ValueError: the run is not finished, or the record is incomplete.
    """
    if (
        record.state != "finished"
        or record.recipe is None
        or record.model is None
        or record.key is None
        or record.environment is None
    ):
        raise ValueError("the record is not that of a finished run")
    return list(_events(record))


def _events(record: RunRecord) -> Iterator[Event]:
    assert record.recipe is not None and record.model is not None and record.environment is not None, (
        "checked by `events_of`"
    )
    yield RunStarted(
        key=str(record.key),
        recipe=record.recipe.model_dump(mode="json"),
        started=record.started or "",
        environment=record.environment,
    )
    model = record.model
    yield ModelLoaded(skipped=record.sparsity.skipped, **{name: getattr(model, name) for name in SHARED})
    if record.protocol.calibration is not None:
        yield record.protocol.calibration
    yield from record.protocol.evaluations
    for index, value in record.measured.items():
        yield BlockMeasured(index=index, value=value)
    # `chosen` is part of the candidate, so no CandidateChosen is needed.
    for candidate in record.search:
        yield CandidateTried(candidate=candidate)
    if record.allocation:
        yield Allocated(ratios=record.allocation, clipped=record.clipped, rows=record.rows)
    yield from record.blocks
    end = record.elapsed
    for evaluation in record.evaluations:
        yield Evaluated(
            elapsed=end, corpus=evaluation.corpus, dense=evaluation.dense, pruned=evaluation.pruned
        )
    for which in ("pruned", "dense"):  # the order in which a run measures them
        for score in getattr(record.tasks, which):
            yield TaskMeasured(elapsed=end, which=which, score=score)
    for warning in record.warnings:
        yield Noted(elapsed=end, message=warning)
    yield Finished(
        elapsed=end,
        coverage=record.sparsity.coverage or 0.0,
        timings=record.timings,
        peak_host=record.peak_host,
        peak_device=record.peak_device,
    )
