"""A sweep as a grid: a row for each way to prune, a column for each sparsity or pattern, and how far each
cell is.

A cell holds one run a seed. It is as far as the least settled of them: going on before waiting, failed before
cancelled, finished only when all are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from engine.analysis.comparison.sweep import Cell
from engine.pruning.presets import PRESETS
from engine.recipe import with_allocation
from engine.record import RunRecord

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
"""Which state a cell takes from its runs: the first that any of them has."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands: its state, its record so far, and why it ended where it did not finish."""

    state: State
    record: RunRecord | None = None
    message: str = ""


@dataclass(frozen=True)
class Square:
    """One cell of the grid.

    Attributes:
        way: pruner and top-up in words.
        shape: a sparsity such as `0.5`, or a pattern such as `2:4`.
        keys: of its runs, seed by seed.
        done: how many of them are finished.
        values: their pruned perplexities.
        progress: share of the blocks that the running one has done; None where none runs.
        message: why it failed or is refused, else empty.
    """

    way: str
    shape: str
    state: State
    keys: tuple[str, ...] = ()
    done: int = 0
    values: tuple[float, ...] = ()
    progress: float | None = None
    message: str = ""

    @property
    def mean(self) -> float | None:
        """Of the perplexities, None without any."""
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Their sample standard deviation, None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None


MISSING = Standing("missing")


def shape_of(text: str) -> str:
    """A sparsity or pattern as a person may type it: `60 %`, `60%` and `0.60` are `0.6`; what is no number
    stays as it is.
    """
    plain = text.replace(" ", "")
    try:
        return f"{float(plain.removesuffix('%')) / 100:g}" if plain.endswith("%") else f"{float(plain):g}"
    except ValueError:
        return plain


def way(cell: Cell) -> str:
    """Pruner and top-up of a cell in words."""
    return PRESETS[cell.pruner].title + with_allocation(cell.allocation)


def grid(cells: Sequence[Cell], standings: Mapping[str, Standing]) -> list[Square]:
    """The squares of a sweep, row by row; a run that `standings` does not know is missing."""
    members: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        members.setdefault((way(cell), cell.shape), []).append(cell)
    return [_square(row, column, its, standings) for (row, column), its in members.items()]


def _square(row: str, column: str, cells: Sequence[Cell], standings: Mapping[str, Standing]) -> Square:
    keys = tuple(cell.recipe.key for cell in cells if cell.recipe is not None)
    if not keys:
        return Square(row, column, "refused", message=cells[0].refusal)
    found = [standings.get(key, MISSING) for key in keys]
    first = min(found, key=lambda one: ORDER.index(one.state))
    finished = [one for one in found if one.state == "finished"]
    return Square(
        way=row,
        shape=column,
        state=first.state,
        keys=keys,
        done=len(finished),
        values=tuple(one.record.pruned.perplexity for one in finished if one.record and one.record.pruned),
        progress=first.record.progress if first.state == "running" and first.record else None,
        message=first.message,
    )
