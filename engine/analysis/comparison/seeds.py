"""How much of a number is the luck of the calibration windows: the same recipe over several seeds.

Only the calibration text is drawn anew; the dense model and the evaluation text are the same, so the spread
is that of the pruned perplexity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from engine.recipe import Recipe
from engine.record import RunRecord

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Spread:
    """Pruned perplexities on one corpus.

    Attributes:
        values: one a seed.
        mean: their mean.
        deviation: their sample standard deviation, None for fewer than two.
    """

    corpus: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None


def over_seeds(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe with its own seed and those that follow it, `count` in all. The order of the seeds is a
    circle.
    """
    return [
        recipe.model_copy(update={"seed": (recipe.seed + step) % (LARGEST_SEED + 1)}) for step in range(count)
    ]


def spreads(records: Sequence[RunRecord]) -> list[Spread]:
    """A spread for each corpus that all of the finished records measured, in the first one's order."""
    finished = [record for record in records if record.state == "finished" and record.evaluations]
    if not finished:
        return []
    scores = [{item.corpus: item.pruned.perplexity for item in record.evaluations} for record in finished]
    return [
        Spread(corpus, tuple(score[corpus] for score in scores))
        for corpus in scores[0]
        if all(corpus in score for score in scores)
    ]
