"""Lesson 5: who deserves the weights. A guess with two handles, a search that is replayed, and a race between
ways to share the sparsity out.

Nothing is pruned here: the runs are recorded, or computed by the engine in the background like any other.
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
"""The allocations that race, by name."""
MINE = "manual"
DIGITS = 4
"""Decimals of a ratio: what a person can read, and fine enough for the target."""


def guess(slope: float, ends: float, sizes: Sequence[int], target: float) -> tuple[float, ...]:
    """Ratios whose mean by size is the target, made of a slope and a bend.

    Args:
        slope: how far the last block is above the middle, as a share; NeuroAL's block step tries just these,
            and calls it lambda.
        ends: how far the first and the last block are below the middle, before the mean is set right.
    """
    last = max(1, len(sizes) - 1)
    places = [2 * block / last - 1 for block in range(len(sizes))]  # from -1 to 1
    ratios, _ = within_limits(
        centred([slope * place - ends * place**2 for place in places], sizes, target), sizes, target
    )
    return tuple(round(ratio, DIGITS) for ratio in ratios)


def recorded_recipe(allocation: str, sparsity: float) -> Recipe:
    """The recipe of a run that comes with the project."""
    return Recipe.build(pruner=PRUNER, allocation=allocation, sparsity=sparsity)


def turn(objectives: Sequence[float]) -> int:
    """What an objective does as its strength grows: 0 it rises, 1 it falls, 2 one between is the least."""
    least = min(range(len(objectives)), key=objectives.__getitem__)
    return 0 if least == 0 else 1 if least == len(objectives) - 1 else 2


def own_recipe(ratios: Sequence[float], sparsity: float) -> Recipe:
    """The same with ratios of one's own; they are scaled to the target, for four decimals may miss it by a
    hair.
    """
    settings = {"manual.ratios": tuple(ratios), "manual.rescale": "yes"}
    return Recipe.build(pruner=PRUNER, allocation=MINE, sparsity=sparsity, settings=settings)


def apart(ratios: Sequence[float], others: Sequence[float]) -> float:
    """How far two allocations are from each other: the mean absolute difference over the blocks."""
    return sum(abs(one - other) for one, other in zip(ratios, others, strict=True)) / len(ratios)


def moments(events: Sequence[Event]) -> tuple[int, ...]:
    """The places of a run's search, as `engine.replay` counts them: before its first candidate, and behind
    each thing that happens in it.
    """
    found = [
        place
        for place, event in enumerate(events, start=1)
        if isinstance(event, CandidateTried | CandidateChosen | Allocated)
    ]
    return (found[0] - 1, *found) if found else ()


@dataclass(frozen=True)
class Racer:
    """A way to share the sparsity out, and what came of it.

    Attributes:
        allocation: its name in the registry.
        title: what it is called.
        perplexity: of the pruned model.
        misalignment: NeuroAL's objective, summed over the blocks as the run measured it on all of its
            calibration windows.
        distance: how far its ratios are from one's own, a share.
    """

    allocation: str
    title: str
    perplexity: float
    misalignment: float
    distance: float


def race(records: Mapping[str, RunRecord], mine: Sequence[float]) -> tuple[Racer, ...]:
    """The finished runs among these, the least perplexity first.

    Args:
        records: by the name of the allocation.
        mine: one's own ratios.
    """
    racers = [
        Racer(
            allocation=name,
            title="Your guess" if name == MINE else record.recipe.methods["allocation"].title,
            perplexity=record.pruned.perplexity,
            misalignment=sum(block.alignment for block in record.blocks),
            distance=apart(mine, record.allocation),
        )
        for name, record in records.items()
        if record.pruned is not None and record.recipe is not None
    ]
    return tuple(sorted(racers, key=lambda racer: racer.perplexity))
