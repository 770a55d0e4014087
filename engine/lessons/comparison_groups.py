"""Lesson 3: the same matrix pruned within different comparison groups, from the widest to the narrowest.

At 50 % sparsity every 2:4 mask is also a 4:8 mask, every 4:8 mask removes half of each row, and every such
mask removes half of the layer. So the score that is kept never grows from one group to the next, for any
matrix. The output error often follows, but need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb, log10

from engine.lessons.layer import Layer, Pruned, Table, example, mask_table, table
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group, is_n_of_m

ROWS, COLUMNS = 6, 16
WEAK_ROW = 3
"""The row whose weights are all small."""
SMALL = 0.2
SEED, SPREAD = 4, 2.0
MATRICES = 50
SCORE_NAMES = ("magnitude", "wanda")
LAYER, ROW = "Whole layer", "Each row"  # also values in the page's address
PATTERNS = ("4:8", "2:4", "1:4")
GROUPINGS = (LAYER, ROW, "4:8", "2:4")
"""From the widest to the narrowest; all of them can remove half of the weights."""


@dataclass(frozen=True)
class Masked:
    """The matrix pruned within one grouping.

    Attributes:
        forced: cells that this pattern removes although a comparison within each row would keep them.
        row_shares: the share of each row that is removed.
    """

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    forced: tuple[tuple[int, int], ...]
    row_shares: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Price:
    """The cost of a grouping.

    Attributes:
        kept_score: the kept share of the sum of all scores.
        error: the output error.
        digits: the decimal logarithm of the number of masks.
    """

    grouping: str
    kept_score: float
    error: float
    digits: float


@lru_cache(maxsize=MATRICES + 1)
def layer(matrix: int = 0) -> Layer:
    """Return a matrix by its number: matrix 0 has a row of small weights, the others are drawn at random."""
    drawn = example(SEED + 100 * matrix, rows=ROWS, columns=COLUMNS, spread=SPREAD)
    if matrix:
        return drawn
    weight = drawn.weight.clone()
    weight[WEAK_ROW].clamp_(-SMALL, SMALL)
    return Layer(weight, drawn.inputs)


@lru_cache(maxsize=64)
def masked(grouping: str, score: str, sparsity: float = 0.5) -> Masked:
    """Prune matrix 0; an N:M pattern fixes its own sparsity."""
    result = _prune(layer(), grouping, score, sparsity)
    # At the sparsity that the grouping reached.
    by_row = _prune(layer(), ROW, score, float((~result.keep).double().mean()))
    forced = (by_row.keep & ~result.keep).nonzero().tolist()  # [row, column] each
    return Masked(
        weights=table(result.layer.weight),
        kept=mask_table(result.keep),
        forced=tuple((row, column) for row, column in forced) if is_n_of_m(grouping) else (),
        row_shares=tuple((~result.keep).double().mean(1).tolist()),
        error=result.error,
    )


@lru_cache(maxsize=MATRICES)
def prices(matrix: int, score: str) -> tuple[Price, ...]:
    """Return what each of the `GROUPINGS` keeps and costs at 50 % sparsity."""
    drawn = layer(matrix)
    scores = SCORES[score].function(drawn.weight, drawn.statistics)
    costs = []
    for grouping in GROUPINGS:
        result = _prune(drawn, grouping, score, 0.5)
        kept_score = float((scores * result.keep).sum() / scores.sum())
        costs.append(Price(grouping, kept_score, result.error, _digits(grouping)))
    return tuple(costs)


def _prune(drawn: Layer, grouping: str, score: str, sparsity: float) -> Pruned:
    if is_n_of_m(grouping):
        return drawn.prune(score, sparsity, pattern=grouping)
    return drawn.prune(score, sparsity, group=Group.LAYER if grouping == LAYER else Group.ROW)


def _digits(grouping: str) -> float:
    """Return the decimal logarithm of the number of masks that remove half of the weights."""
    entries = ROWS * COLUMNS
    group = {LAYER: entries, ROW: COLUMNS}.get(grouping) or int(grouping.split(":")[1])
    # log10 of C(g, g / 2) ^ (entries / g): each group chooses its half independently.
    return entries // group * log10(comb(group, group // 2))
