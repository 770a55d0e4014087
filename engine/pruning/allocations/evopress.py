"""EvoPress: an evolutionary search over sparsity levels, judged by the predictions of the whole pruned model
(Sieberling et al., arXiv 2410.14649, ICML 2025).

Every block (or linear) has a level; one level up removes the same number of weights everywhere, so a switch,
one level up in one place and one down in another, leaves the overall sparsity as it is. A generation mutates
the parent by a few switches each, and selects in three steps with more windows and fewer candidates each; the
parent takes part in the last one, so it never gets worse. A candidate is judged by how far its predictions
are from the dense model's, the mean KL divergence per token, or by its perplexity.

Two things differ from the authors' code, which reads weights of every level from a database of up to 200 GB
and draws other windows in each step. Here a candidate is pruned as the run itself would be, block by block
on inputs from its own pruned blocks, so only one block's statistics are in memory at a time; and a step's
windows are the first ones, so that the parent need not be judged again. The final run uses all windows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Any

from engine.events import EVOLUTION_STEP, REFERENCE_STEP, Candidate, CandidateChosen, CandidateTried, Event
from engine.pruning import papers
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.fitness import Fitness
from engine.pruning.search import AllocationContext
from engine.pruning.shares import HIGHEST, LOWEST
from engine.registry import Parameter

Levels = tuple[int, ...]
"""The level of each unit; 0 is the target."""
SAMPLES = (1 / 4, 1 / 2, 1)
"""Shares of the search's windows on which the three steps of a selection judge."""
MOST_SWITCHES = 3
PASSES_PER_CANDIDATE = 1.6
"""Forward passes: a dense one that is not completed, a pruned one and the head, less what is shared."""
PRUNED_PER_CANDIDATE = 0.75
"""Share of the blocks that are pruned: those before a candidate's first change are shared."""


@dataclass(frozen=True)
class Units:
    """What has a level of its own.

    Attributes:
        places: the block of each unit and the linear, None for the block as a whole.
        sizes: prunable weights of each.
        target: the overall sparsity.
        step: by how much a level changes the sparsity of a unit of average size.
    """

    places: tuple[tuple[int, str | None], ...]
    sizes: tuple[int, ...]
    target: float
    step: float

    def ratio(self, unit: int, level: int) -> float:
        """Return the sparsity of a unit; a level is the same number of weights in all of them."""
        average = sum(self.sizes) / len(self.sizes)
        return self.target + level * self.step * average / self.sizes[unit]

    def allows(self, unit: int, level: int) -> bool:
        return LOWEST <= self.ratio(unit, level) <= HIGHEST

    def shares(self, levels: Levels) -> Shares:
        """Return the sparsities; their mean by size is the target because the levels sum to 0."""
        removed: dict[int, float] = {}
        total: dict[int, int] = {}
        linears: dict[int, dict[str, float]] = {}
        for unit, ((block, name), size) in enumerate(zip(self.places, self.sizes, strict=True)):
            ratio = self.ratio(unit, levels[unit])
            removed[block] = removed.get(block, 0.0) + ratio * size
            total[block] = total.get(block, 0) + size
            if name is not None:
                linears.setdefault(block, {})[name] = ratio
        return Shares(tuple(removed[block] / total[block] for block in sorted(total)), linears=linears)


def evopress(
    context: AllocationContext,
    *,
    generations: int,
    offspring: int,
    level: float,
    unit: str,
    windows: int,
    fitness: Fitness,
    seed: int,
) -> Generator[Event, None, Shares]:
    """Return the fittest sparsities after some generations; yield the parent of each."""
    units, random = _units(context, unit, level), Random(seed)
    judges = [context.search(ceil(share * windows)) for share in SAMPLES]

    def judged(step: int, candidates: Sequence[Levels]) -> list[float]:
        trials = judges[step].fitness([units.shares(levels) for levels in candidates], fitness)
        return list(trials)

    parent: Levels = (0,) * len(units.places)
    (best,) = judged(-1, [parent])
    yield _tried(REFERENCE_STEP, 0, best, units.shares(parent))
    for generation in range(1, generations + 1):
        candidates = list(mutants(parent, units, offspring, random))
        for step, survivors in enumerate(_survivors(offspring)):
            if not candidates:  # no unit can change: one block, or a target at a limit
                break
            values = judged(step, candidates)
            # A stable sort: of equals the first survive.
            order = sorted(range(len(candidates)), key=values.__getitem__)[:survivors]
            candidates = [candidates[place] for place in order]
            if step == len(SAMPLES) - 1 and values[order[0]] < best:
                parent, best = candidates[0], values[order[0]]
        yield _tried(EVOLUTION_STEP, generation, best, units.shares(parent))
    yield CandidateChosen(step=EVOLUTION_STEP, strength=generations)
    return units.shares(parent)


def mutants(parent: Levels, units: Units, count: int, random: Random) -> Iterator[Levels]:
    """Yield up to `count` different mutants of the parent: one to three switches each, fewer more often."""
    known = {parent}
    for _ in range(10 * count):  # a small model may not have as many
        levels = list(parent)
        for _ in range(min(random.randint(1, MOST_SWITCHES), random.randint(1, MOST_SWITCHES))):
            down = [unit for unit, level in enumerate(levels) if units.allows(unit, level - 1)]
            up = [unit for unit, level in enumerate(levels) if units.allows(unit, level + 1)]
            if down and up:
                levels[random.choice(down)] -= 1
                levels[random.choice(up)] += 1
        mutant = tuple(levels)
        if mutant not in known and all(map(units.allows, range(len(levels)), levels)):
            known.add(mutant)
            yield mutant
            if len(known) > count:
                return


def passes(parameters: Mapping[str, Any]) -> float:
    """Return the forward passes over all windows of the search that it takes."""
    judged = sum(count * share for count, share in zip(_judged(parameters), SAMPLES, strict=True))
    return PASSES_PER_CANDIDATE * (1 + parameters["generations"] * judged)


def candidates(parameters: Mapping[str, Any]) -> float:
    """Return how often the whole model is pruned."""
    return PRUNED_PER_CANDIDATE * (1 + parameters["generations"] * sum(_judged(parameters)))


def _judged(parameters: Mapping[str, Any]) -> tuple[int, ...]:
    """Return how many candidates of a generation are judged on each sample."""
    return (parameters["offspring"], *_survivors(parameters["offspring"])[:-1])


def _survivors(offspring: int) -> tuple[int, int, int]:
    """Return how many candidates survive each step of a selection."""
    return max(1, offspring // 4), max(1, offspring // 8), 1


def _units(context: AllocationContext, unit: str, step: float) -> Units:
    if unit == "block":
        places = tuple((block, None) for block in range(len(context.sizes)))
        return Units(places, tuple(context.sizes), context.target, step)
    sizes = {
        (block.index, name): linear.shape[0] * linear.shape[1]
        for block in context.blocks
        for name, linear in block.linears.items()
    }
    return Units(tuple(sizes), tuple(sizes.values()), context.target, step)


def _tried(step: str, generation: int, value: float, shares: Shares) -> CandidateTried:
    return CandidateTried(
        candidate=Candidate(
            step=step, strength=generation, objective=value, block_objectives=(), ratios=shares.blocks
        )
    )


ALLOCATIONS.add(
    Allocation(
        name="evopress",
        title="EvoPress",
        explanation="Evolves the sparsity of each block: mutants move sparsity from one block to another, "
        "and the one whose predictions are closest to the dense model's becomes the next parent.",
        helps="At 60 % and more, if time matters little. It assumes nothing about which blocks matter, and "
        "works with any score and update.",
        formula=r"\min_{s_1, \dots, s_L} \; \mathbb{E}_x \, "
        r"D_{\mathrm{KL}}\!\left( p_{\text{dense}}(\cdot | x) "
        r"\,\Vert\, p_{s}(\cdot | x) \right), \quad \sum_\ell n_\ell s_\ell = s \sum_\ell n_\ell",
        paper=papers.EVOPRESS,
        sources="The paper could be read in part only; the search follows the authors' code. Unlike there, a "
        "candidate is pruned as the run itself would be, and the windows of a step are the first ones.",
        parameters=(
            Parameter(
                name="generations",
                kind="int",
                default=16,
                minimum=1,
                maximum=10_000,
                explanation="how often a new parent is selected",
            ),
            Parameter(
                name="offspring",
                kind="int",
                default=16,
                minimum=1,
                maximum=1024,
                explanation="mutants per generation; a quarter survives the first step of the selection, an "
                "eighth the second",
            ),
            Parameter(
                name="level",
                kind="float",
                default=0.02,
                minimum=0.001,
                maximum=0.5,
                explanation="by how much a level changes the sparsity of a block (or linear) of average size",
            ),
            Parameter(
                name="unit",
                kind="choice",
                default="block",
                choices=("block", "linear"),
                explanation="whether blocks or linears have levels",
            ),
            Parameter(
                name="windows",
                kind="int",
                default=8,
                minimum=1,
                maximum=1024,
                explanation="calibration windows on which the last step judges; the first one uses a quarter "
                "of them, the second half",
            ),
            Parameter(
                name="fitness",
                kind="choice",
                default="kl",
                choices=("kl", "perplexity"),
                explanation="judge by the KL divergence from the dense model's predictions, or by perplexity",
            ),
            Parameter(
                name="seed",
                kind="int",
                default=0,
                minimum=0,
                maximum=2**31 - 1,
                explanation="seed of the mutations",
            ),
        ),
        function=evopress,
        objective="mean KL divergence from the dense model's predictions in nats per token, or perplexity",
        strengths="Each point is the parent after that many generations.",
        passes=lambda parameters: (passes(parameters), parameters["windows"]),
        candidates=candidates,
        judged=SAMPLES,
        linears=True,
    )
)
