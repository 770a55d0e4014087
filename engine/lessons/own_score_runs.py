"""Lesson 9, second half: recorded runs in which the smallest error of the linears is not the lowest
perplexity, and the user's formula on the bundled model.

This module prunes nothing: the runs are bundled, or computed by the engine in the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis.comparison.leaderboard import Entry, leaderboard
from engine.analysis.comparison.points import points
from engine.analysis.comparison.protocols import finished_runs
from engine.analysis.comparison.seeds import over_orders, over_seeds
from engine.lessons.own_score import PUBLISHED, USER
from engine.pruning.axes import SCORES
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.outline import outline

SPARSITIES = (0.5, 0.6, 0.7, 0.8)
RIVAL = "wanda"
"""The published score that is repeated next to the user's formula."""
WAYS: Mapping[str, Mapping[str, str]] = {
    "Magnitude": {"pruner": "magnitude"},
    "Wanda": {"pruner": "wanda"},
    "RIA": {"pruner": "ria"},
    "RIA per row": {"pruner": "ria", "group": "row"},
    "stochRIA": {"pruner": "stochria"},
    "SymWanda": {"pruner": "symwanda"},
    "SymWanda per layer": {"pruner": "symwanda", "group": "layer"},
    "MultiFlow": {"pruner": "multiflow"},
}
"""Ways to choose a mask of which bundled runs exist, as recipe fields by name."""


@dataclass(frozen=True)
class Way:
    """A recorded run: the mean output error of its linears, and the perplexity of the whole model."""

    name: str
    error: float
    perplexity: float


def read(formula: str, sparsity: float) -> Recipe:
    """Return the recipe that prunes the bundled model by a formula.

    Raises:
        RecipeError: the formula is not accepted.
    """
    return Recipe.build(score=USER, settings={f"{USER}.expression": formula}, sparsity=sparsity)


def expression(recipe: Recipe) -> str:
    """Return the formula of a recipe in canonical form."""
    return str(recipe.settings[f"{USER}.expression"])


def published(sparsity: float) -> tuple[Recipe, ...]:
    """Return the recipes of the bundled runs that the formula is compared with."""
    return tuple(Recipe.build(pruner=name, sparsity=sparsity) for name in PUBLISHED)


def repeated(recipe: Recipe) -> dict[str, tuple[Recipe, Recipe]]:
    """Return the user's recipe and its rival's as raced and under the two conditions that should not decide a
    race: the same calibration windows in another order, and other windows of the same text.
    """
    rival = Recipe.build(pruner=RIVAL, sparsity=recipe.sparsity)
    return {
        "as raced": (recipe, rival),
        "another order": (over_orders(recipe, 2)[1], over_orders(rival, 2)[1]),
        "other windows": (over_seeds(recipe, 2)[1], over_seeds(rival, 2)[1]),
    }


def standing(records: Iterable[tuple[RunRecord, bool]], sparsity: float) -> list[Entry]:
    """Return the finished runs among these as a leaderboard.

    Args:
        records: of one sparsity and the same text, each with whether it was computed here.
    """
    runs = finished_runs((outline(record), own) for record, own in records)
    return leaderboard(points(runs), f"{sparsity:g}")


@dataclass(frozen=True)
class Repeat:
    """Two perplexities under one condition: of the user's formula, and of its rival."""

    condition: str
    mine: float
    rival: float

    @property
    def difference(self) -> float:
        """Below 0 if the user's is lower."""
        return self.mine - self.rival


def repeats(records: Mapping[str, tuple[RunRecord, RunRecord]]) -> tuple[Repeat, ...]:
    """Return the perplexities of pairs of finished runs by condition."""
    return tuple(
        Repeat(condition, mine.pruned.perplexity, rival.pruned.perplexity)
        for condition, (mine, rival) in records.items()
        if mine.pruned is not None and rival.pruned is not None
    )


def moved(found: Sequence[Repeat]) -> float:
    """Return the largest difference that a condition makes to one of the two scores."""
    return max(
        max(values) - min(values) for values in ([one.mine for one in found], [one.rival for one in found])
    )


def verdict(found: Sequence[Repeat]) -> str:
    """Return what at least two repeats say about which of the two scores is better."""
    rival, differences = SCORES[RIVAL].title, [one.difference for one in found]
    if not any(differences):
        return f"Your formula and {rival} have the same perplexity under all conditions."
    if min(differences) <= 0 <= max(differences):
        return "Who is ahead depends on the condition, so these runs do not decide."
    better = rival if differences[0] > 0 else "Your formula"
    if min(map(abs, differences)) <= moved(found):
        return f"{better} is ahead each time, but by no more than one of the two moves: a hint, not a result."
    return f"{better} is ahead each time, by more than either of the two moves."


def recorded_ways(sparsity: float) -> dict[str, Recipe]:
    """Return the recipes of `WAYS` at a sparsity."""
    return {name: Recipe.build(dict(fields), sparsity=sparsity) for name, fields in WAYS.items()}


def ways(records: Mapping[str, RunRecord]) -> tuple[Way, ...]:
    """Return finished runs by name, the smallest mean output error first."""
    found = [
        Way(
            name,
            fmean(linear.output_error for block in record.blocks for linear in block.linears),
            record.pruned.perplexity,
        )
        for name, record in records.items()
        if record.pruned is not None
    ]
    return tuple(sorted(found, key=lambda way: way.error))


def place_of_first(found: Sequence[Way]) -> int:
    """Return the place by perplexity, from 0, of the run with the smallest error, which is the first."""
    return sorted(found, key=lambda way: way.perplexity).index(found[0])


def third(place: int, count: int) -> int:
    """Return 0 for the first place, 1 for another one in the first half, 2 for one in the second half."""
    return 0 if place == 0 else 1 if 2 * place < count else 2
