"""The leaderboard: all families at the same sparsity or pattern, by perplexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis.comparison.noise import indistinguishable
from engine.analysis.comparison.points import Point

NOT_PRUNING = ("fetch", "load", "windows", "evaluate", "tasks")
"""Phases of a run that do not belong to the pruner."""


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard.

    Attributes:
        place: 1 is the best; equal perplexities share a place.
        behind: perplexity / that of the best.
        seconds: time spent on pruning, without loading and evaluation; mean over the seeds.
        achieved: share of the prunable weights that is removed; mean over the seeds.
        alike: families that cannot be distinguished from it by what was measured, see `indistinguishable`.
    """

    place: int
    point: Point
    behind: float
    seconds: float
    achieved: float
    alike: tuple[str, ...] = ()


def budgets(families: Mapping[str, Sequence[Point]]) -> list[str]:
    """Return the sparsities and patterns that at least two families have: `0.5`, `2:4`.

    Sparsities come first, in ascending order.
    """
    counts: dict[tuple[bool, float, str], int] = {}
    for points in families.values():
        for point in points:
            shape = (point.is_grouped, point.sparsity, point.shape)
            counts[shape] = counts.get(shape, 0) + 1
    return [
        shape if grouped else f"{sparsity:g}"
        for (grouped, sparsity, shape), count in sorted(counts.items())
        if count > 1  # a family has one point per shape, so points count families
    ]


def leaderboard(families: Mapping[str, Sequence[Point]], budget: str) -> list[Entry]:
    """Return all families that have this sparsity (`0.5`) or pattern (`2:4`), the best first."""
    ranked = sorted(
        (point for points in families.values() for point in points if _is_at(point, budget)),
        key=lambda point: point.perplexity,
    )
    values = [point.perplexity for point in ranked]
    return [
        Entry(
            place=1 + values.index(point.perplexity),  # the first index: equal values share it
            point=point,
            behind=point.perplexity / values[0],
            seconds=fmean(
                sum(spent for phase, spent in run.record.timings.items() if phase not in NOT_PRUNING)
                for run in point.runs
            ),
            achieved=fmean(run.record.sparsity.achieved or 0.0 for run in point.runs),
            alike=tuple(
                other.family for other in ranked if other is not point and indistinguishable(point, other)
            ),
        )
        for point in ranked
    ]


def _is_at(point: Point, budget: str) -> bool:
    # Compared as text, in the form that `budgets` gives it.
    return budget == (point.shape if point.is_grouped else f"{point.sparsity:g}")
