"""Runs for reports and handouts: the records of some keys, with the names and notes of their users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.charts.report import LabelledRun
from engine.errors import PrunescopeError
from engine.store.summary import UNLABELLED, RunSummary

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def labelled_runs(
    engine: BackgroundEngine, runs: Sequence[RunSummary], keys: Iterable[str]
) -> list[LabelledRun]:
    """Return the runs of these keys, each once; those that are gone, or have no model yet, are left out.

    In public mode, the notes are left out: they are the user's own.
    """
    labels = {run.key: run.label for run in runs}
    found = []
    for key in dict.fromkeys(keys):
        try:
            record = engine.view(key).record
        except PrunescopeError:  # deleted meanwhile, damaged, or not shown to visitors
            continue
        if record.recipe is not None and record.model is not None:
            label = labels.get(key, UNLABELLED)
            found.append(LabelledRun(record, label.name, label.note if engine.public is None else ""))
    return found
