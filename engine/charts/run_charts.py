"""Which charts a run is shown by: those that its methods give a meaning, in two parts. A page and a report
choose alike.

While a method decides how much each block loses, that part stands alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine.charts.allocation import allocation_bars, measure
from engine.charts.chart import Chart
from engine.charts.coverage import coverage_bar
from engine.charts.depth import alignment_bars, error_through_depth
from engine.charts.grids import output_error_grid, sparsity_grid
from engine.charts.refinement import error_taken_back, refinement_error, refinement_swaps
from engine.charts.rows import has_uneven_rows, row_spread
from engine.charts.search import alignment_against_uniform, search_curves
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, UPDATES
from engine.record import RunRecord

PRUNING, SHARING = "What pruning did, block by block", "How the sparsity was shared out"
Makers = dict[str, Callable[[RunRecord], Chart]]
GRIDS = {"sparsity": sparsity_grid, "output_error": output_error_grid}
"""The maps of blocks by linears, which a page may let lead on to one linear."""


def parts_of(record: RunRecord, *, clickable: bool = False) -> dict[str, Makers]:
    """The parts by their titles, each its charts by their names; a part may be empty. `clickable` are the
    maps, where a page listens.
    """
    return {PRUNING: pruning(record, clickable=clickable), SHARING: sharing(record)}


def is_deciding(record: RunRecord) -> bool:
    """Whether a method still measures or searches for how much each block is to lose."""
    if record.recipe is None or record.allocation or record.blocks:
        return False
    return searches(record) or bool(measure(record))


def searches(record: RunRecord) -> bool:
    """Whether the run's allocation tries candidates: it passes over the text and measures nothing on single
    blocks.
    """
    if record.recipe is None:
        return False
    passes, _ = ALLOCATIONS[record.recipe.allocation].passes(record.recipe.parameters("allocation"))
    return bool(record.search) or (passes > 0 and not measure(record))


def sharing(record: RunRecord) -> Makers:
    """How much each block and row loses, and why; nothing where all always lose the same."""
    if record.recipe is None or ALLOCATIONS[record.recipe.allocation].even:
        return {}
    found: Makers = {"search": search_curves} if searches(record) else {}
    found["allocation"] = allocation_bars
    if searches(record):
        found["alignment_uniform"] = alignment_against_uniform
    if has_uneven_rows(record):
        found["rows"] = row_spread
    return found


def pruning(record: RunRecord, *, clickable: bool = False) -> Makers:
    """What became of the blocks; nothing while it is being decided what is to become of them."""
    if record.recipe is None or is_deciding(record):
        return {}
    grids: Makers = {name: partial(grid, clickable=clickable) for name, grid in GRIDS.items()}
    found: Makers = {**grids, "alignment": alignment_bars, "depth": error_through_depth}
    if REFINEMENTS[record.recipe.refinement].touches:
        found |= {"swaps": refinement_swaps, "refinement": refinement_error}
    if UPDATES[record.recipe.update].touches:
        found["recovery"] = error_taken_back
    if record.state != "running":  # what was removed in all is known at the end
        found["coverage"] = coverage_bar
    return found
