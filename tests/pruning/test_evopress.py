"""EvoPress: what its mutants keep, that it finds the best allocation where there are few, and its fitness."""

from collections.abc import Generator
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from engine.events import EVOLUTION_STEP, Candidate, CandidateTried, Event
from engine.models.language_model import LanguageModel
from engine.pruning.allocations.evopress import Units, mutants
from engine.pruning.axes import ALLOCATIONS, Shares
from engine.pruning.fitness import Place, SharedPlaces
from engine.pruning.plan import Plan
from engine.pruning.search import AllocationContext, Search
from engine.pruning.shares import weighted_mean
from engine.pruning.statistics import Statistics
from tests.models.families import built, windows

QUICK = {
    "generations": 2,
    "offspring": 4,
    "level": 0.1,
    "unit": "block",
    "windows": 2,
    "fitness": "kl",
    "seed": 0,
}


def make_search(model: LanguageModel, count: int, score: str = "magnitude") -> Search:
    plan = Plan.of(score=score)

    def prune(linear: Any, statistics: Any, sparsity: Any) -> Tensor:
        return plan.prune(linear.weight, statistics, sparsity).weight

    return Search(model, model.record(windows(count), 2), prune, plan.needs)


def context(model: LanguageModel, target: float = 0.6) -> AllocationContext:
    sizes = [sum(linear.weight.numel() for linear in block.linears.values()) for block in model.blocks]
    search = make_search(model, 5)
    with torch.no_grad():
        return AllocationContext(target, sizes, model, search.stream, search.prune, search.needs)


def evolved(found: AllocationContext, **chosen: Any) -> tuple[Shares, list[Candidate]]:
    steps: Generator[Event, None, Shares] = ALLOCATIONS["evopress"].function(found, **{**QUICK, **chosen})
    tried = []
    with torch.no_grad():
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value, tried
            if isinstance(event, CandidateTried):
                tried.append(event.candidate)


@pytest.mark.parametrize("sizes", [(100, 100, 100), (40, 100, 260, 80)])
@pytest.mark.parametrize("target", [0.3, 0.6, 0.95])
def test_mutants_are_different_and_keep_the_overall_sparsity(sizes: tuple[int, ...], target: float) -> None:
    units = Units(tuple((place, None) for place in range(len(sizes))), sizes, target, 0.02)
    parent = (0,) * len(sizes)
    for generation in range(20):
        found = list(mutants(parent, units, 8, Random(generation)))
        assert parent not in found and len(set(found)) == len(found) <= 8
        for levels in found:
            shares = units.shares(levels)
            assert weighted_mean(shares.blocks, sizes) == pytest.approx(target)
            assert all(0.01 <= ratio <= 0.99 for ratio in shares.blocks)
        parent = found[-1]


@pytest.mark.parametrize("unit", ["block", "linear"])
def test_a_parent_never_gets_worse_and_the_sparsity_is_the_target(unit: str) -> None:
    model = built("llama")
    found = context(model)
    shares, tried = evolved(found, unit=unit)
    values = [candidate.objective for candidate in tried]
    assert values == sorted(values, reverse=True)
    assert tried[0].is_reference and [one.step for one in tried[1:]] == [EVOLUTION_STEP] * 2
    assert weighted_mean(shares.blocks, found.sizes) == pytest.approx(0.6)
    sizes = {
        (block.index, name): linear.weight.numel()
        for block in model.blocks
        for name, linear in block.linears.items()
    }
    removed = sum(shares.of(*place) * size for place, size in sizes.items())
    assert float(removed) / sum(sizes.values()) == pytest.approx(0.6)
    assert len(shares.linears) == (len(found.sizes) if unit == "linear" else 0)


def test_the_same_seed_gives_the_same_result_and_no_weight_changes() -> None:
    model = built("llama")
    before = {name: parameter.clone() for name, parameter in model.module.named_parameters()}
    first, second = (evolved(context(model), generations=1, offspring=3) for _ in range(2))
    assert first == second and first[1][1].objective < first[1][0].objective
    assert all(torch.equal(before[name], one) for name, one in model.module.named_parameters())


def test_a_model_that_cannot_be_mutated_keeps_its_uniform_sparsity() -> None:
    found = context(built("llama"), target=0.995)
    shares, tried = evolved(found)
    assert shares.blocks == (0.995,) * len(found.sizes) and len(tried) == 3


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_fitness_matches_its_definition(family: str) -> None:
    """Pruned by magnitude, which needs no statistics, so the whole model can be pruned at once."""
    model = built(family)
    candidate = Shares((0.2, 0.5, 0.5, 0.8))
    search, nothing = make_search(model, 3), cast(Statistics, SimpleNamespace(routed=False))
    (divergence,), (perplexity,) = (
        search.fitness([candidate], "kl"),
        search.fitness([candidate], "perplexity"),
    )
    with torch.no_grad():
        dense = model.forward(windows(3)).double()[:, :-1].log_softmax(-1)  # [windows, tokens, vocabulary]
        for block in model.blocks:
            for name, linear in block.linears.items():
                linear.write(search.prune(linear, nothing, candidate.of(block.index, name)))
        pruned = model.forward(windows(3)).double()[:, :-1].log_softmax(-1)
    expected = (dense.exp() * (dense - pruned)).sum(-1).mean()
    assert divergence == pytest.approx(float(expected), rel=1e-4)
    wanted = windows(3)[:, 1:, None]
    assert perplexity == pytest.approx(float((-pruned.gather(-1, wanted)).mean().exp()), rel=1e-4)


@pytest.mark.parametrize("score", ["wanda", "sparsegpt"])
def test_blocks_that_candidates_have_in_common_are_passed_once(score: str) -> None:
    model = built("llama")
    candidates = [
        Shares(ratios) for ratios in ((0.5, 0.6, 0.5, 0.5), (0.5, 0.6, 0.7, 0.3), (0.5, 0.6, 0.7, 0.5))
    ]
    alone = [make_search(model, 3, score).fitness([candidate], "kl")[0] for candidate in candidates]
    search, pruned = make_search(model, 3, score), list[int]()
    prune = search.prune

    def counting(linear: Any, statistics: Any, sparsity: Any) -> Tensor:
        pruned.append(int(linear.path.split(".")[2]))
        return prune(linear, statistics, sparsity)

    search.prune = counting
    together = [search.fitness([candidate], "kl")[0] for candidate in candidates]
    assert together == alone
    linears = len(model.blocks[0].linears)
    assert [pruned.count(block) for block in range(4)] == [linears, linears, 2 * linears, 3 * linears]


def test_places_are_shared_within_a_limit_and_the_deeper_ones_dropped_first() -> None:
    start, *places = (Place(cast(Any, None)) for _ in range(6))
    shared = SharedPlaces(start, limit=30)
    for depth in range(1, 4):
        shared.add(("a", "b", "c")[:depth], places[depth - 1], 10)
    assert shared.deepest(("a", "b", "c", "d")) == (3, places[2])
    assert shared.deepest(("a", "x")) == (1, places[0])
    assert shared.deepest(("y",)) == (0, start)
    shared.add(("a", "x"), places[3], 10)
    assert shared.deepest(("a", "b", "c"))[0] == 2  # one had to go
    assert shared.deepest(("a", "x"))[0] == 2
    shared.add(("z",), places[4], 40)  # larger than the limit: nothing is dropped for it
    assert shared.deepest(("z",))[0] == 0 and shared.deepest(("a", "x"))[0] == 2
