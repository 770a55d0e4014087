"""Finished runs as points of curves, perplexity against sparsity, and the cliff of a curve.

A family is a pruner with its allocation and its unusual settings; it has one curve. Runs that differ only in
the seed of the calibration windows are one point with a spread. The cliff of a curve is the sparsity at which
its perplexity is twice the dense model's. Between two points the logarithm of the ratio is interpolated
linearly, because perplexity grows about exponentially there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from statistics import fmean

from engine.analysis.comparison.protocols import FinishedRun
from engine.analysis.comparison.seeds import Spread
from engine.numbers import short_percent
from engine.pruning.patterns import UNSTRUCTURED
from engine.recipe import Recipe, with_allocation
from engine.recipe.validation import default_group
from engine.record import MARK

MOST_LETTERS = 12
"""Letters of a parameter's value for which a family's name has room."""
FACTOR = 2.0
"""Dense perplexities at which a curve has its cliff."""


def family(recipe: Recipe) -> str:
    """Return how a recipe prunes, without how much: pruner, allocation, and unusual settings."""
    return f"{recipe.pruner_title}{with_allocation(recipe.allocation)}{_unusual_settings(recipe)}"


def _unusual_settings(recipe: Recipe) -> str:
    """Return the parameters, comparison group and permutation that differ from the methods' defaults."""
    known = {
        f"{method.name}.{parameter.name}": parameter
        for method in recipe.methods.values()
        for parameter in method.parameters
    }
    unusual = [
        f"{name.rpartition('.')[2]} {_short(value)}"
        for name, value in recipe.settings.items()
        # The settings hold coerced values, too. A setting of another version has no default here.
        if name not in known or value != known[name].coerced(known[name].default)
        if name not in known or known[name].kind != "text"  # a text is the pruner's title
    ]
    if recipe.group is not None and recipe.group != default_group(recipe.model_dump()):
        unusual.append(f"per {recipe.group}")
    if recipe.permutation not in (None, "none"):
        unusual.append(str(recipe.permutation))
    return f" ({', '.join(unusual)})" if unusual else ""


def _short(value: object) -> str:
    """Return a value in a few letters; long ones end with a hash, so that two different ones never look
    equal.
    """
    text = ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[:8]}… #{hashlib.sha256(text.encode()).hexdigest()[:4]}"


@dataclass(frozen=True)
class Point:
    """The runs of one family at one sparsity, over their seeds.

    Attributes:
        shape: the pattern, `unstructured` or `n:m`.
        sparsity: the target, a share.
        runs: one per seed, in the order of the seeds.
        repeats: the runs of one seed that differ only in the order of the calibration windows.
    """

    family: str
    shape: str
    sparsity: float
    runs: tuple[FinishedRun, ...]
    repeats: tuple[FinishedRun, ...] = ()

    @property
    def perplexity(self) -> float:
        """Mean over the seeds."""
        return fmean(run.perplexity for run in self.runs)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds, None for one."""
        return Spread(tuple(run.perplexity for run in self.runs)).deviation

    @property
    def noise(self) -> float | None:
        """The largest difference between repeats in another order, None without any."""
        values = [run.perplexity for run in self.repeats]
        return max(values) - min(values) if len(values) > 1 else None

    @property
    def bar(self) -> tuple[float, float]:
        """How far an error bar goes below and above: the deviation over the seeds, or else the repeats."""
        if self.deviation is not None or self.noise is None:
            return self.deviation or 0.0, self.deviation or 0.0
        values = [run.perplexity for run in self.repeats]
        return self.perplexity - min(values), max(values) - self.perplexity

    @property
    def ratio(self) -> float:
        """Ratio to the dense perplexity, mean over the seeds."""
        return fmean(run.ratio for run in self.runs)

    @property
    def achieved(self) -> float | None:
        """Share of the prunable weights that is removed, mean over the seeds; None if a run does not say."""
        shares = [run.record.sparsity.achieved for run in self.runs]
        return fmean(share for share in shares if share is not None) if None not in shares else None

    @property
    def title(self) -> str:
        """`Wanda 60%` or `Wanda 2:4`."""
        return f"{self.family} {self.shape if self.is_grouped else short_percent(self.sparsity)}"

    @property
    def own(self) -> bool:
        """Whether one of the runs was computed here."""
        return any(run.own for run in self.runs)

    @property
    def imported(self) -> bool:
        """Whether the runs were computed elsewhere and imported."""
        return any(run.imported for run in self.runs)

    @property
    def is_grouped(self) -> bool:
        """Whether it has a pattern, such as N:M, that fixes its sparsity."""
        return self.shape != UNSTRUCTURED


def dense_perplexity(points: Iterable[Point]) -> float | None:
    """Return the dense model's perplexity in runs of one protocol, by imported runs only if there are no
    others; None without any.
    """
    runs = (run for point in points for run in point.runs)
    first = min(runs, key=lambda run: run.imported, default=None)  # False is less than True
    return None if first is None else first.dense


def points(runs: Iterable[FinishedRun]) -> dict[str, tuple[Point, ...]]:
    """Return the points of each family by sparsity, unstructured ones first.

    Args:
        runs: of one protocol. Of two runs with the same seed and order the first counts: other tasks or
            another device do not make it a second sample.
    """
    cells: dict[tuple[str, str, float], dict[tuple[int, int], FinishedRun]] = {}
    for run in runs:
        # Imported runs are families of their own, so that their numbers never stand for ours.
        name = f"{family(run.recipe)}{MARK}" if run.imported else family(run.recipe)
        cell = (name, run.recipe.pattern, run.recipe.sparsity)
        cells.setdefault(cell, {}).setdefault((run.recipe.seed, run.recipe.order), run)  # the first run wins
    families: dict[str, list[Point]] = {}
    for (name, shape, sparsity), members in cells.items():
        by_seed: dict[int, list[FinishedRun]] = {}
        for seed, order in sorted(members):
            by_seed.setdefault(seed, []).append(members[seed, order])
        runs_of_seeds = tuple(orders[0] for orders in by_seed.values())
        # The first of the seeds with most orders.
        repeats: list[FinishedRun] = max(by_seed.values(), key=len)
        families.setdefault(name, []).append(Point(name, shape, sparsity, runs_of_seeds, tuple(repeats)))
    return {
        name: tuple(sorted(members, key=lambda point: (point.is_grouped, point.sparsity, point.shape)))
        for name, members in families.items()
    }


def curve(family_points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that a line may join: the unstructured ones."""
    return tuple(point for point in family_points if not point.is_grouped)


@dataclass(frozen=True)
class Cliff:
    """Where a curve reaches `FACTOR` times the dense perplexity.

    Attributes:
        sparsity: a share.
        perplexity: at that sparsity.
        known: whether the cliff lies between two measured points; else the first point is already beyond it.
    """

    sparsity: float
    perplexity: float
    known: bool


def cliff(points: Sequence[Point]) -> Cliff | None:
    """Return the cliff of a family's unstructured points at the lowest sparsity; None if all stay below."""
    ordered = sorted(points, key=lambda point: point.sparsity)
    if ordered and ordered[0].ratio >= FACTOR:
        return Cliff(ordered[0].sparsity, ordered[0].perplexity, known=False)
    for before, after in pairwise(ordered):
        if after.ratio >= FACTOR:
            share = (
                0.0
                if after.ratio == inf  # the limit: the cliff is at the last finite point
                else (log(FACTOR) - log(before.ratio)) / (log(after.ratio) - log(before.ratio))
            )
            sparsity = before.sparsity + share * (after.sparsity - before.sparsity)
            # Perplexity / ratio is the dense perplexity.
            return Cliff(sparsity, FACTOR * before.perplexity / before.ratio, known=True)
    return None
