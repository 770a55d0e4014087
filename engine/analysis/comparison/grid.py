"""A sweep as a grid: a row per pruner with its allocation, a column per sparsity or pattern, and each cell's
state.

A cell has one run per seed and order. Its state is the least settled of theirs: running before queued, failed
before cancelled, and finished only when all are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.analysis.comparison.seeds import Spread
from engine.analysis.comparison.sweep import Cell
from engine.pruning.recommendations import RECOMMENDATIONS, all_pruners
from engine.recipe import with_allocation
from engine.record.outline import Outline

State = Literal[
    "running", "queued", "failed", "damaged", "cancelled", "interrupted", "missing", "finished", "refused"
]
ORDER: tuple[State, ...] = (
    "running",
    "queued",
    "failed",
    "damaged",
    "interrupted",
    "cancelled",
    "missing",
    "finished",
    "refused",
)
"""A cell takes the first of these states that any of its runs has."""


@dataclass(frozen=True)
class RunStatus:
    """The state of a run, its outline so far, and why it ended if it did not finish."""

    state: State
    record: Outline | None = None
    message: str = ""


@dataclass(frozen=True)
class GridCell:
    """One cell of the grid.

    Attributes:
        method: pruner and allocation in words.
        shape: a sparsity such as `0.5`, or a pattern such as `2:4`.
        keys: keys of its runs, seed by seed and order by order.
        done: how many of them are finished.
        values: pruned perplexities of the finished ones.
        progress: share of finished blocks of the running one; None if none is running.
        message: why it failed or is refused, else empty.
    """

    method: str
    shape: str
    state: State
    keys: tuple[str, ...] = ()
    done: int = 0
    values: tuple[float, ...] = ()
    progress: float | None = None
    message: str = ""

    @property
    def spread(self) -> Spread | None:
        """The perplexities over seeds and orders, None without any."""
        return Spread(self.values) if self.values else None


MISSING = RunStatus("missing")


def parse_shape(text: str) -> str:
    """Return a typed sparsity or pattern in its usual form: `60 %`, `60%` and `0.60` are `0.6`.

    Text that is no number is returned without its spaces.
    """
    plain = text.replace(" ", "")
    try:
        return f"{float(plain.removesuffix('%')) / 100:g}" if plain.endswith("%") else f"{float(plain):g}"
    except ValueError:
        return plain


def method_title(cell: Cell) -> str:
    """Return the pruner and the allocation of a cell in words."""
    # A recommendation stands for different pruners in one row.
    if cell.recipe is None or cell.pruner in RECOMMENDATIONS:
        pruner = all_pruners()[cell.pruner].title
    else:
        pruner = cell.recipe.pruner_title
    return f"{pruner}{with_allocation(cell.allocation)}"


def grid(cells: Sequence[Cell], statuses: Mapping[str, RunStatus]) -> list[GridCell]:
    """Return the grid of a sweep, row by row; a run that has no status is missing.

    Args:
        cells: the sweep's runs.
        statuses: by the runs' keys.
    """
    members: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        members.setdefault((method_title(cell), cell.shape), []).append(cell)
    return [_grid_cell(row, column, runs, statuses) for (row, column), runs in members.items()]


def _grid_cell(method: str, shape: str, cells: Sequence[Cell], statuses: Mapping[str, RunStatus]) -> GridCell:
    keys = tuple(cell.recipe.key for cell in cells if cell.recipe is not None)
    if not keys:
        # All runs of a cell are refused for the same reason.
        return GridCell(method, shape, "refused", message=cells[0].refusal)
    runs = [statuses.get(key, MISSING) for key in keys]
    first = min(runs, key=lambda run: ORDER.index(run.state))  # the first of those in the same state
    finished = [run for run in runs if run.state == "finished"]
    return GridCell(
        method=method,
        shape=shape,
        state=first.state,
        keys=keys,
        done=len(finished),
        values=tuple(run.record.pruned.perplexity for run in finished if run.record and run.record.pruned),
        progress=first.record.progress if first.state == "running" and first.record else None,
        message=first.message,
    )
