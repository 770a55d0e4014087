"""Which charts two runs share, and what is drawn if a chart has a meaning for one of them only: that run's
chart, which says so in its caption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from engine.analysis.explanations.of_runs import of_both
from engine.charts.chart import Chart
from engine.charts.overlay.allocation import allocation_of_both
from engine.charts.overlay.coverage import coverage_of_both
from engine.charts.overlay.depth import alignment_of_both, depth_of_both
from engine.charts.overlay.heatmaps import output_error_difference, sparsity_difference
from engine.charts.overlay.pair import Pair
from engine.charts.overlay.row_sparsity import rows_of_both
from engine.charts.overlay.search import best_of_both, searches_of_both
from engine.charts.overlay.steps import recovery_of_both, refinement_of_both, swaps_of_both
from engine.record import RunRecord

Makers = dict[str, Callable[[RunRecord], Chart]]
"""Charts by name; the name is part of a page's address and of a report's file."""
OVERLAYS: dict[str, Callable[..., Chart]] = {
    "sparsity": sparsity_difference,
    "output_error": output_error_difference,
    "alignment": alignment_of_both,
    "depth": depth_of_both,
    "swaps": swaps_of_both,
    "refinement": refinement_of_both,
    "recovery": recovery_of_both,
    "coverage": coverage_of_both,
    "search": searches_of_both,
    "allocation": allocation_of_both,
    "alignment_uniform": best_of_both,
    "rows": rows_of_both,
}
"""In the order of the page."""
LACKS = {
    "swaps": "has no mask refinement",
    "refinement": "has no mask refinement",
    "recovery": "has no weight update",
    "coverage": "is not finished",
    "search": "has no search",
    "alignment_uniform": "has no search over the blocks' alignment",
    "rows": "has the same sparsity in all rows of a linear",
}
"""Why a run has no chart of this name, after its name."""
MAPS = ("sparsity", "output_error")
"""The charts that can be clickable."""
FOR_ALL = ("allocation",)
"""Charts that have a meaning for every run with blocks, although a single run may be shown without them."""


def overlaid(mine: Makers, theirs: Makers, other: RunRecord, *, live: bool, clickable: bool) -> Makers:
    """Return the charts of a run with another one drawn into them.

    Args:
        mine: the charts of the run itself, `theirs` those of the other.
        live: whether the run itself is being computed: charts that only the other one has wait for its end.
        clickable: as in `chart_parts`.
    """
    names = [name for name in OVERLAYS if name in mine or (name in theirs and other.recipe and not live)]
    return {name: partial(_chart, name, mine.get(name), theirs.get(name), other, clickable) for name in names}


def _chart(
    name: str,
    mine: Callable[[RunRecord], Chart] | None,
    theirs: Callable[[RunRecord], Chart] | None,
    other: RunRecord,
    clickable: bool,
    record: RunRecord,
) -> Chart:
    pair = Pair(record, other)
    known = record.model is not None and other.model is not None
    if known and ((mine and theirs) or name in FOR_ALL):
        chart = OVERLAYS[name](pair, clickable=clickable) if name in MAPS else OVERLAYS[name](pair)
        return replace(chart, explain=partial(of_both, name, pair.runs, pair.names))
    if mine is not None:
        chart, reason = mine(record), _reason(name, other)
        return replace(chart, caption=f"Not compared: {pair.names[1]} {reason}. {chart.caption}")
    assert theirs is not None, "a chart is one run's or both's"
    chart, reason = theirs(other), _reason(name, record)
    return replace(
        chart,
        title=f"{chart.title}: {pair.names[1]}",
        alt=f"Of {pair.names[1]} only. {chart.alt}",
        caption=f"Only of {pair.names[1]}: {pair.names[0]} {reason}. {chart.caption}",
    )


def _reason(name: str, record: RunRecord) -> str:
    """Return why a run lacks a chart, after its name."""
    if record.model is None:
        return "has no results yet"
    return LACKS.get(name, "is still deciding the sparsity of its blocks")
