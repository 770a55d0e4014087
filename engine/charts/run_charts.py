"""Which charts a run is shown with, for pages and reports alike: those that its methods give a meaning.

The charts come in two parts, the sparsity allocation and the results per block. As long as a method is still
deciding the allocation, only that part is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from engine.charts.allocation import allocation_bars, measured_quantity
from engine.charts.chart import Chart
from engine.charts.coverage import coverage_bar
from engine.charts.depth import alignment_bars, error_through_depth
from engine.charts.heatmaps import output_error_grid, sparsity_grid
from engine.charts.overlay.both import Makers, overlaid
from engine.charts.refinement import refinement_error, refinement_swaps
from engine.charts.row_sparsity import has_uneven_rows, row_spread
from engine.charts.search import alignment_against_uniform, search_curves
from engine.charts.tables import with_origin
from engine.charts.update import error_recovered
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, UPDATES
from engine.record import MARK, RunRecord

RESULTS, ALLOCATION = "Results per block", "Sparsity allocation"
HEATMAPS = {"sparsity": sparsity_grid, "output_error": output_error_grid}
"""The maps of blocks by linears, from which a page may link to the microscope."""

DENSE_CHARTS: Makers = {
    **HEATMAPS,
    "alignment": alignment_bars,
    "depth": error_through_depth,
    "coverage": coverage_bar,
}
"""Those that have a value for the dense model."""


def chart_parts(
    record: RunRecord, other: RunRecord | None = None, *, clickable: bool = False
) -> dict[str, Makers]:
    """Return the charts of each part by the part's title; a part may be empty. Each is made from `record`.

    Args:
        other: a second run to draw into all charts, or the `dense_reference` of the first; None for none.
        clickable: whether the heat maps carry handles for a page that handles clicks.
    """
    parts = _parts_of_one(record, clickable=clickable)
    if other is None:
        return parts
    # A record without a recipe is the dense model's, which no method has left a mark on.
    others = _parts_of_one(other) if other.recipe else {RESULTS: DENSE_CHARTS, ALLOCATION: {}}
    return {
        title: overlaid(makers, others[title], other, live=record.state == "running", clickable=clickable)
        for title, makers in parts.items()
    }


def _parts_of_one(record: RunRecord, *, clickable: bool = False) -> dict[str, Makers]:
    parts = {RESULTS: result_charts(record, clickable=clickable), ALLOCATION: allocation_charts(record)}
    if not record.imported:
        return parts
    return {
        title: {name: partial(_marked, make) for name, make in makers.items()}
        for title, makers in parts.items()
    }


def is_deciding(record: RunRecord) -> bool:
    """Return whether a method is still measuring or searching for the sparsity of each block."""
    if record.recipe is None or record.allocation or record.blocks:  # decided, or pruning has begun
        return False
    return _searches(record) or bool(measured_quantity(record))


def allocation_charts(record: RunRecord) -> Makers:
    """Return the charts of the sparsity per block and row; none if all always have the same."""
    if record.recipe is None or ALLOCATIONS.named(record.recipe.allocation).even:
        return {}
    charts: Makers = {"search": search_curves} if _searches(record) else {}  # in the order of the page
    charts["allocation"] = allocation_bars
    if _searches(record) and all(candidate.block_objectives for candidate in record.search):
        charts["alignment_uniform"] = alignment_against_uniform
    if has_uneven_rows(record):
        charts["rows"] = row_spread
    return charts


def result_charts(record: RunRecord, *, clickable: bool = False) -> Makers:
    """Return the charts of what pruning did to the blocks; none while their sparsity is being decided."""
    if record.recipe is None or is_deciding(record):
        return {}
    heatmaps: Makers = {name: partial(heatmap, clickable=clickable) for name, heatmap in HEATMAPS.items()}
    charts: Makers = {**heatmaps, "alignment": alignment_bars, "depth": error_through_depth}
    if REFINEMENTS.named(record.recipe.refinement).touches:
        charts |= {"swaps": refinement_swaps, "refinement": refinement_error}
    if UPDATES.named(record.recipe.update).touches:
        charts["recovery"] = error_recovered
    if record.state != "running":  # the total of removed weights is only known at the end
        charts["coverage"] = coverage_bar
    return charts


def _marked(make: Callable[[RunRecord], Chart], record: RunRecord) -> Chart:
    """Return a chart of an imported run, which says so in its title and in its table."""
    chart = make(record)
    return replace(chart, title=f"{chart.title}{MARK}", table=with_origin(chart.table, record))


def _searches(record: RunRecord) -> bool:
    """Return whether the run's allocation tries candidates: it makes passes over the text, but measures
    nothing on single blocks.
    """
    if record.recipe is None:
        return False
    passes, _ = ALLOCATIONS.named(record.recipe.allocation).passes(record.recipe.parameters("allocation"))
    return bool(record.search) or (passes > 0 and not measured_quantity(record))
