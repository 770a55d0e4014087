"""Watching a run again: its events on one clock, and the record as it was behind any of them.

Nothing is drawn from anything but the record, so what is seen again is what was seen live. The seconds of a
run that was taken up again begin anew in its events; here they go on where they stopped.

A finished record as events again: the inverse of the fold, for records that come without them.

`RunRecord.fold(events_of(record))` is the record. When an event happened is known of the windows and the
blocks alone; what comes before them is dated to the beginning, and what comes behind them to the end.
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
)
from engine.record import RunRecord


def events_of(record: RunRecord) -> list[Event]:
    """The events of a finished record.

    Raises:
        ValueError: the record is not that of a finished run, or lacks what every such run has.
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
        "checked before"
    )
    yield RunStarted(
        key=str(record.key),
        recipe=record.recipe.model_dump(mode="json"),
        started=record.started or "",
        environment=record.environment,
    )
    model = record.model
    shared = (
        "architecture",
        "path",
        "parameters",
        "prunable",
        "blocks",
        "linears",
        "dtype",
        "bytes",
        "residence",
    )
    yield ModelLoaded(skipped=record.sparsity.skipped, **{name: getattr(model, name) for name in shared})
    yield from _windows(record)
    for index, value in record.measured.items():
        yield BlockMeasured(index=index, value=value)
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
    for which in ("pruned", "dense"):
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


def _windows(record: RunRecord) -> Iterator[WindowsReady]:
    if record.protocol.calibration is not None:
        yield record.protocol.calibration
    yield from record.protocol.evaluations


class Replay:
    """A run's events to go back and forth in. A place is how many events have happened: 0 is before the
    first.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def moments(self) -> list[float]:
        """When each event happened, in seconds since the first try began; never falling."""
        elapsed = [0.0, *(event.elapsed for event in self.events)]
        moments, now = [], 0.0
        for before, after in pairwise(elapsed):
            now += after - before if after >= before else after
            moments.append(now)
        return moments

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.moments[-1] if self.events else 0.0

    def moment(self, place: int) -> float:
        """When the last event before a place happened."""
        return self.moments[place - 1] if place else 0.0

    def place_at(self, seconds: float) -> int:
        """How many events had happened so many seconds into the run."""
        return bisect_right(self.moments, seconds)

    def record(self, place: int) -> RunRecord:
        """The record after so many events."""
        return RunRecord.fold(self.events[:place])

    def words(self, place: int) -> str:
        """What happened last before a place."""
        return _words(self.events[place - 1]) if place else "before the first event"


def _words(event: Event) -> str:  # noqa: C901, PLR0911  (one line a kind of event)
    match event:
        case ModelLoaded():
            return "model loaded"
        case Fetching():
            return f"fetching {event.what}"
        case WindowsReady():
            return f"{event.role} windows cut"
        case BlockMeasured():
            return f"block {event.index} measured"
        case CandidateTried():
            return f"{event.candidate.step} candidate λ = {event.candidate.strength:g} tried"
        case CandidateChosen():
            return f"{event.step} step: λ = {event.strength:g} chosen"
        case Allocated():
            return "sparsity shared out"
        case BlockPruned():
            return f"block {event.index} pruned"
        case Evaluated():
            return "perplexity measured"
        case TaskProgressed() | TaskMeasured():
            return f"{event.which} model tried on a task"
        case Resumed():
            return f"taken up again behind {event.blocks} blocks"
    return type(event).__name__.lower().replace("runstarted", "run started")
