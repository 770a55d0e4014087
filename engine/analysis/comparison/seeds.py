"""How much a perplexity depends on the calibration windows: the same recipe over several seeds, or with the
same windows in several orders.

Only the calibration text is sampled again; the dense model and the evaluation text stay the same, so the
spread is that of the pruned perplexity. Another order of the same windows changes only how sums round, which
decides weights that are nearly tied, and later blocks amplify it: differences of that size mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, stdev

from engine.recipe import Recipe
from engine.record import RunRecord

LARGEST_SEED = 2**63 - 1  # of a signed 64-bit integer


@dataclass(frozen=True)
class Spread:
    """Pruned perplexities, one per seed or order; at least one."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Their sample standard deviation, None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None


def over_orders(recipe: Recipe, count: int) -> list[Recipe]:
    """Return the recipe with its own order of the calibration windows and other ones, `count` in total."""
    others = (order for order in range(count + 1) if order != recipe.order)
    return [recipe, *(recipe.model_copy(update={"order": order}) for order in islice(others, count - 1))]


def over_seeds(recipe: Recipe, count: int) -> list[Recipe]:
    """Return the recipe with its own seed and the following ones, `count` in total; the last seed is followed
    by 0.
    """
    return [
        recipe.model_copy(update={"seed": (recipe.seed + step) % (LARGEST_SEED + 1)}) for step in range(count)
    ]


def spreads(records: Sequence[RunRecord]) -> dict[str, Spread]:
    """Return the spread on each corpus that all finished records evaluated, in the first one's order."""
    finished = [record for record in records if record.state == "finished" and record.evaluations]
    if not finished:
        return {}
    scores = [{item.corpus: item.pruned.perplexity for item in record.evaluations} for record in finished]
    return {
        corpus: Spread(tuple(score[corpus] for score in scores))
        for corpus in scores[0]
        if all(corpus in score for score in scores)
    }
