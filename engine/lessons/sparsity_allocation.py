"""Lesson 5: how to allocate the sparsity. A guess with two sliders, a replayed search, and a race between
allocations.

This module prunes nothing: the runs are bundled, or computed by the engine in the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.events import Allocated, CandidateChosen, CandidateTried, Event
from engine.pruning.shares import centred, within_limits
from engine.recipe import Recipe
from engine.record import RunRecord

PRUNER = "wanda"
AUTOMATIC = ("neuroal", "owl", "alphapruning", "uniform")
"""The allocations that race, by registry name."""
USER = "manual"
"""The registry name of the allocation that holds the user's ratios."""
DIGITS = 4
"""Decimals of a ratio: readable, and precise enough to meet the target."""


def guess(slope: float, ends: float, sizes: Sequence[int], target: float) -> tuple[float, ...]:
    """Return ratios made of a slope and a bend, whose mean weighted by size is the target.

    Args:
        slope: how far the last block is above the middle, a share; NeuroAL's block step tries such slopes
            and calls them lambda.
        ends: how far the first and the last block are below the middle, before the mean is corrected.
        sizes: weights per block.
        target: the sparsity of the whole model.
    """
    last = max(1, len(sizes) - 1)
    depths = [2 * block / last - 1 for block in range(len(sizes))]  # from -1 to 1
    ratios, _ = within_limits(  # the mean is corrected by a shift; only clipping rescales
        centred([slope * depth - ends * depth**2 for depth in depths], sizes, target), sizes, target
    )
    return tuple(round(ratio, DIGITS) for ratio in ratios)


def bundled_recipe(allocation: str, sparsity: float) -> Recipe:
    """Return the recipe of a bundled run."""
    return Recipe.build(pruner=PRUNER, allocation=allocation, sparsity=sparsity)


def user_recipe(ratios: Sequence[float], sparsity: float) -> Recipe:
    """Return the same recipe with the user's ratios.

    They are rescaled to the target, because four decimals can miss it slightly.
    """
    settings = {"manual.ratios": tuple(ratios), "manual.rescale": "yes"}
    return Recipe.build(pruner=PRUNER, allocation=USER, sparsity=sparsity, settings=settings)


def trend(objectives: Sequence[float]) -> int:
    """Return how an objective changes as its strength grows: 0 rises, 1 falls, 2 falls and then rises."""
    least = min(range(len(objectives)), key=objectives.__getitem__)
    return 0 if least == 0 else 1 if least == len(objectives) - 1 else 2


def distance(ratios: Sequence[float], others: Sequence[float]) -> float:
    """Return the mean absolute difference of two allocations over the blocks."""
    return sum(abs(one - other) for one, other in zip(ratios, others, strict=True)) / len(ratios)


def search_moments(events: Sequence[Event]) -> tuple[int, ...]:
    """Return the moments of a run's search, as event counts for `engine.replay`.

    The first is before the first candidate; each following moment is after one event of the search.
    """
    moments = [
        count
        for count, event in enumerate(events, start=1)
        if isinstance(event, CandidateTried | CandidateChosen | Allocated)
    ]
    return (moments[0] - 1, *moments) if moments else ()  # one event earlier: before the first candidate


@dataclass(frozen=True)
class Racer:
    """An allocation and its result.

    Attributes:
        allocation: its name in the registry.
        title: its name on the page.
        perplexity: of the pruned model.
        misalignment: NeuroAL's objective, summed over the blocks, as the run measured it on all of its
            calibration windows.
        distance: how far its ratios are from the user's, a share.
    """

    allocation: str
    title: str
    perplexity: float
    misalignment: float
    distance: float


def race(records: Mapping[str, RunRecord], user_ratios: Sequence[float]) -> tuple[Racer, ...]:
    """Return the finished runs among these, the lowest perplexity first.

    Args:
        records: runs by the name of their allocation.
        user_ratios: the user's ratios.
    """
    racers = [
        Racer(
            allocation=name,
            title="Your guess" if name == USER else record.recipe.methods["allocation"].title,
            perplexity=record.pruned.perplexity,
            misalignment=sum(block.alignment for block in record.blocks),
            distance=distance(user_ratios, record.allocation),
        )
        for name, record in records.items()
        if record.pruned is not None and record.recipe is not None
    ]
    return tuple(sorted(racers, key=lambda racer: racer.perplexity))
