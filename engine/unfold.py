"""A finished record as events again: the inverse of the fold, for records that come without them.

`RunRecord.fold(events_of(record))` is the record. When an event happened is known of the windows and the blocks alone; what comes before them is
dated to the beginning, and what comes behind them to the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.events import (
    Allocated,
    BlockMeasured,
    CandidateTried,
    Evaluated,
    Event,
    Finished,
    ModelLoaded,
    Noted,
    RunStarted,
    TaskMeasured,
    WindowsReady,
)
from engine.record import RunRecord


def events_of(record: RunRecord) -> list[Event]:
    """The events of a finished record.

    Raises:
        ValueError: the record is not that of a finished run, or lacks what every such run has.
    """
    if record.state != "finished" or record.recipe is None or record.model is None or record.key is None or record.environment is None:
        raise ValueError("the record is not that of a finished run")
    return list(_events(record))


def _events(record: RunRecord) -> Iterator[Event]:
    assert record.recipe is not None and record.model is not None and record.environment is not None, "checked before"
    yield RunStarted(key=str(record.key), recipe=record.recipe.model_dump(mode="json"), started=record.started or "", environment=record.environment)
    model = record.model
    shared = ("architecture", "path", "parameters", "prunable", "blocks", "linears", "dtype", "bytes", "residence")
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
        yield Evaluated(elapsed=end, corpus=evaluation.corpus, dense=evaluation.dense, pruned=evaluation.pruned)
    for which in ("pruned", "dense"):
        for score in getattr(record.tasks, which):
            yield TaskMeasured(elapsed=end, which=which, score=score)
    for warning in record.warnings:
        yield Noted(elapsed=end, message=warning)
    yield Finished(
        elapsed=end, coverage=record.sparsity.coverage or 0.0, timings=record.timings, peak_host=record.peak_host, peak_device=record.peak_device
    )


def _windows(record: RunRecord) -> Iterator[WindowsReady]:
    if record.protocol.calibration is not None:
        yield record.protocol.calibration
    yield from record.protocol.evaluations
