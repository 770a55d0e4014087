"""Who does best at equal budget: all families at one sparsity or pattern, by perplexity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis.comparison.points import Measured, Point
from engine.pruning.patterns import is_n_of_m

NOT_PRUNING = ("fetch", "load", "windows", "evaluate", "tasks")
"""Phases of a run that say nothing of the pruner."""


@dataclass(frozen=True)
class Place:
    """One line of a leaderboard.

    Attributes:
        place: 1 is the best; equal perplexities share one.
        behind: perplexity / that of the best.
        seconds: that pruning took, without loading and measuring; mean over the seeds.
        achieved: share of the prunable weights that is gone; mean over the seeds.
    """

    place: int
    point: Point
    behind: float
    seconds: float
    achieved: float


def budgets(families: Mapping[str, Sequence[Point]]) -> list[str]:
    """The sparsities and patterns that at least two families have: `0.5`, `2:4`; sparsities first, ascending."""
    found: dict[tuple[bool, float, str], int] = {}
    for points in families.values():
        for point in points:
            place = (point.is_grouped, point.sparsity, point.shape)
            found[place] = found.get(place, 0) + 1
    return [
        shape if grouped else f"{sparsity:g}"
        for (grouped, sparsity, shape), count in sorted(found.items())
        if count > 1
    ]


def leaderboard(families: Mapping[str, Sequence[Point]], budget: str) -> list[Place]:
    """All families that have this sparsity (`0.5`) or pattern (`2:4`), the best first."""
    ranked = sorted(
        (point for points in families.values() for point in points if _is_at(point, budget)),
        key=lambda point: point.perplexity,
    )
    if not ranked:
        return []
    best = ranked[0].perplexity
    values = [point.perplexity for point in ranked]
    return [
        Place(1 + values.index(point.perplexity), point, point.perplexity / best, *_costs(point.runs))
        for point in ranked
    ]


def _is_at(point: Point, budget: str) -> bool:
    return (
        point.shape == budget
        if is_n_of_m(budget)
        else not point.is_grouped and f"{point.sparsity:g}" == budget
    )


def _costs(runs: Iterable[Measured]) -> tuple[float, float]:
    found = list(runs)
    seconds = fmean(
        sum(spent for phase, spent in run.record.timings.items() if phase not in NOT_PRUNING) for run in found
    )
    return seconds, fmean(run.record.sparsity.achieved or 0.0 for run in found)
