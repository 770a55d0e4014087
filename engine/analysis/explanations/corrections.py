"""What the charts of a mask refinement and of a weight update show."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from statistics import fmean

from engine.analysis.changes import Change, drift_changes, refinement_changes, update_changes
from engine.analysis.explanations import bundled_runs
from engine.analysis.explanations.explanation import (
    JOINT_UPDATE,
    MANY_SWAPS,
    SWAPS,
    Explanation,
    explanation,
)
from engine.analysis.explanations.progress import done_blocks, is_complete, nothing_measured, scope
from engine.numbers import percent, plural
from engine.pruning.axes import REFINEMENTS
from engine.record import RunRecord

NOTICEABLE = 0.005
"""Share of an error whose change a reader can see in the chart; less than that is no change."""


def swaps(record: RunRecord) -> Explanation:
    """Explain the share of swapped weights and the error that the refinement lowers."""
    refined = {
        block.index: [linear for linear in block.linears if linear.swaps is not None]
        for block in done_blocks(record)
    }
    counts = {
        block: sum(linear.swaps or 0 for linear in linears) for block, linears in refined.items() if linears
    }
    if not counts:
        return explanation([nothing_measured(record)], SWAPS)
    total, rows = sum(counts.values()), sum(linear.rows for linears in refined.values() for linear in linears)
    if total == 0:
        return explanation([f"{scope(record)}the refinement kept the mask as the score chose it."], SWAPS)
    most = max(counts, key=lambda block: counts[block])
    first = (
        f"{scope(record)}the refinement made {plural(total, 'swap')}, {total / rows:.1f} per row; "
        f"the most in one block are {counts[most]:,}, in block {most}."
    )
    return explanation([first, _drift(record)], SWAPS)


def refinement(record: RunRecord) -> Explanation:
    """Explain the output error before and after the swaps."""
    known = _comparable(refinement_changes(record))
    if not known:
        return explanation([nothing_measured(record)], MANY_SWAPS)
    mean, usual = fmean(change.less for change in known), percent(bundled_runs.REFINED_BETTER, 0)
    if not is_complete(record) or abs(mean) < NOTICEABLE:
        last = ""
    elif mean > 0:
        last = f"That is usual: so do {usual} of the refinements in the bundled runs."
    else:
        last = f"That is unusual: {usual} of the refinements in the bundled runs lower the output error."
    return explanation([_effect(record, "refinement", mean), _range(known), last], MANY_SWAPS)


def update(record: RunRecord) -> Explanation:
    """Explain the output error before and after the weight update."""
    known = _comparable(update_changes(record))
    if not known:
        return explanation([nothing_measured(record)], JOINT_UPDATE)
    mean, (low, high) = fmean(change.less for change in known), bundled_runs.UPDATE_REMOVES
    usual = f"The updates of the bundled runs remove between {percent(low, 0)} and {percent(high, 0)} of it."
    return explanation(
        [_effect(record, "update", mean), _range(known), usual if is_complete(record) else ""], JOINT_UPDATE
    )


def is_refined_better(record: RunRecord) -> bool:
    """Return whether the refinement lowers the output error, in the mean over the blocks."""
    return fmean(change.less for change in _comparable(refinement_changes(record))) > 0


def _comparable(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if isfinite(change.less)]


def _effect(record: RunRecord, subject: str, less: float) -> str:
    """Return what share of the output error the subject removes, in the mean over the blocks."""
    if abs(less) < NOTICEABLE:
        change = "hardly changes"
    else:
        change = f"removes {percent(less)} of" if less > 0 else f"adds {percent(-less)} to"
    return f"{scope(record)}the {subject} {change} the output error, in the mean over the blocks."


def _range(known: Sequence[Change]) -> str:
    """Return the blocks in which most and least is removed."""
    if len(known) < 2:
        return ""
    best, worst = max(known, key=lambda one: one.less), min(known, key=lambda one: one.less)
    if best.less <= 0:
        raised = percent(-worst.less)
        return f"It lowers the error in no block, and raises it most in block {worst.block}: by {raised}."
    harm = sum(change.less < 0 for change in known)
    if harm:
        blocks = plural(harm, "block")
        return (
            f"It helps most in block {best.block} ({percent(best.less)} removed), but raises the error in "
            f"{blocks}, most in block {worst.block} (by {percent(-worst.less)})."
        )
    return (
        f"It helps most in block {best.block} ({percent(best.less)}) and least in block {worst.block} "
        f"({percent(worst.less)})."
    )


def _drift(record: RunRecord) -> str:
    """Return how the error that the method lowers has changed; empty if it has none."""
    known = _comparable(drift_changes(record))
    if record.recipe is None or not known:
        return ""
    measure = REFINEMENTS.named(record.recipe.refinement).measure
    less = 1 - fmean(change.after for change in known) / fmean(change.before for change in known)
    if less == 0:
        return f"The mean {measure} is the same as before."
    way = f"falls by {percent(less)}" if less > 0 else f"rises by {percent(-less)}"
    return f"The mean {measure}, which swaps are chosen to lower, {way}."
