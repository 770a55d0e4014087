"""The cliff of a curve: the sparsity at which the perplexity has become twice that of the dense model.

Between two measured points the logarithm of the ratio is taken to be a straight line in the sparsity, for perplexity grows about exponentially there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log

from engine.comparison.points import Point

FACTOR = 2.0


@dataclass(frozen=True)
class Cliff:
    """Where a curve crosses `FACTOR` times the dense perplexity.

    Attributes:
        sparsity: a share.
        perplexity: there.
        known: whether the crossing lies between two measured points; else the first point is beyond it already.
    """

    sparsity: float
    perplexity: float
    known: bool


def cliff(points: Sequence[Point]) -> Cliff | None:
    """The first crossing of a family's unstructured points, by sparsity; None where all stay below."""
    ordered = sorted(points, key=lambda point: point.sparsity)
    if ordered and ordered[0].ratio >= FACTOR:
        return Cliff(ordered[0].sparsity, ordered[0].perplexity, known=False)
    for before, after in pairwise(ordered):
        if after.ratio >= FACTOR:
            share = 0.0 if after.ratio == inf else (log(FACTOR) - log(before.ratio)) / (log(after.ratio) - log(before.ratio))
            sparsity = before.sparsity + share * (after.sparsity - before.sparsity)
            return Cliff(sparsity, FACTOR * before.perplexity / before.ratio, known=True)
    return None
