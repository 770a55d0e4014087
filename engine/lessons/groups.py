"""Lesson 3: the same matrix pruned within different comparison groups, each a smaller freedom than the one
before.

At half of the weights a 2:4 mask is also a 4:8 mask, that one removes half of each row, and that half of the
layer. So what a score can keep never grows from one to the next, for any matrix; the output error follows it
often, but need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb, log10

from engine.lessons.layer import Layer, Pruned, Table, example, table
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group, parse_pattern

ROWS, COLUMNS = 6, 16
QUIET = 3
"""The row whose weights are all small."""
SMALL = 0.2
SEED, SPREAD = 4, 2.0
MATRICES = 50
SCORE_NAMES = ("magnitude", "wanda")
LAYER, ROW = "Whole layer", "Each row"
PATTERNS = ("4:8", "2:4", "1:4")
FREEDOMS = (LAYER, ROW, "4:8", "2:4")
"""From the widest to the narrowest, all of them for half of the weights."""


@dataclass(frozen=True)
class Masked:
    """The matrix with what one freedom and score removed.

    Attributes:
        forced: cells that this pattern removes though a comparison within each row would keep them.
        row_shares: how much each row has lost.
    """

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    forced: tuple[tuple[int, int], ...]
    row_shares: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Price:
    """What a freedom costs.

    Attributes:
        kept_score: the share of all scores that stays.
        digits: how many masks it has, as a power of ten.
    """

    freedom: str
    kept_score: float
    error: float
    digits: float


@lru_cache(maxsize=MATRICES + 1)
def layer(matrix: int = 0) -> Layer:
    """Matrix 0 has a quiet row; the others are drawn at random, one for each number."""
    drawn = example(SEED + 100 * matrix, rows=ROWS, columns=COLUMNS, spread=SPREAD)
    if matrix:
        return drawn
    weight = drawn.weight.clone()
    weight[QUIET].clamp_(-SMALL, SMALL)
    return Layer(weight, drawn.inputs)


def masked(freedom: str, score: str, sparsity: float = 0.5) -> Masked:
    """Matrix 0, pruned; the sparsity of an N:M pattern is its own."""
    n_of_m = parse_pattern(freedom) if ":" in freedom else None
    result = _prune(layer(), freedom, score, 1 - n_of_m[0] / n_of_m[1] if n_of_m else sparsity)
    by_row = _prune(layer(), ROW, score, float((~result.keep).double().mean()))
    forced = (by_row.keep & ~result.keep).nonzero().tolist() if n_of_m else []
    kept = tuple(tuple(row) for row in result.keep.tolist())
    shares = tuple((~result.keep).double().mean(1).tolist())
    return Masked(
        table(result.layer.weight), kept, tuple((row, column) for row, column in forced), shares, result.error
    )


def prices(matrix: int, score: str) -> tuple[Price, ...]:
    """What each of the `FREEDOMS` keeps and costs at half of the weights."""
    drawn = layer(matrix)
    scores = SCORES[score].function(drawn.weight, drawn.statistics)
    found = []
    for freedom in FREEDOMS:
        result = _prune(drawn, freedom, score, 0.5)
        found.append(
            Price(freedom, float((scores * result.keep).sum() / scores.sum()), result.error, _digits(freedom))
        )
    return tuple(found)


def _prune(drawn: Layer, freedom: str, score: str, sparsity: float) -> Pruned:
    if ":" in freedom:
        return drawn.prune(score, sparsity, pattern=freedom)
    return drawn.prune(score, sparsity, group=Group.LAYER if freedom == LAYER else Group.ROW)


def _digits(freedom: str) -> float:
    """The logarithm of the number of masks with half of the weights gone."""
    entries = ROWS * COLUMNS
    group = {LAYER: entries, ROW: COLUMNS}.get(freedom) or int(freedom.split(":")[1])
    return entries // group * log10(comb(group, group // 2))
