"""Lesson 5: guesses that meet the target, NeuroAL's own slopes among them; the moments of a search, and who
wins a race.
"""

from __future__ import annotations

import pytest

from engine.events import Allocated, CandidateTried
from engine.lessons import allocation
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.replay import Replay
from tests.pages.fakes import BLOCKS, FINISHED, events

EVEN = [100] * 8


@pytest.mark.parametrize("sizes", [EVEN, [100, 100, 300, 100], [70]])
@pytest.mark.parametrize("target", [0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    ("slope", "ends"), [(0.0, 0.0), (0.15, 0.0), (-0.2, 0.1), (0.25, 0.25), (0.0, -0.25)]
)
def test_a_guess_meets_the_target(sizes, target, slope, ends):
    ratios = allocation.guess(slope, ends, sizes, target)
    mean = sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)
    assert mean == pytest.approx(target, abs=1e-4)
    assert all(0.01 <= ratio <= 0.99 for ratio in ratios)


@pytest.mark.parametrize("strength", [0.05, 0.1, 0.15])
def test_a_slope_is_what_neuroal_tries(strength):
    """`s - lambda + 2 lambda l / (L - 1)`."""
    expected = [0.7 - strength + 2 * strength * block / 7 for block in range(8)]
    assert allocation.guess(strength, 0.0, EVEN, 0.7) == pytest.approx(expected, abs=1e-4)


def test_mercy_for_the_ends():
    ratios = allocation.guess(0.0, 0.2, EVEN, 0.5)
    assert ratios == ratios[::-1] and ratios[0] < 0.5 < ratios[3]
    assert max(ratios) - min(ratios) == pytest.approx(0.2 * (1 - 1 / 49), abs=2e-4)


def test_how_far_two_are_apart():
    assert allocation.apart((0.5, 0.7), (0.6, 0.4)) == pytest.approx(0.2)


@pytest.mark.parametrize(("objectives", "turn"), [([1, 2, 3], 0), ([3, 2, 1], 1), ([3, 1, 2], 2)])
def test_what_an_objective_does(objectives, turn):
    assert allocation.turn(objectives) == turn


def test_the_moments_of_a_search():
    run = events(Recipe.build(allocation="neuroal", sparsity=0.7), BLOCKS, FINISHED)
    places = allocation.moments(run)
    assert not any(isinstance(event, CandidateTried) for event in run[: places[0]])
    assert isinstance(run[places[1] - 1], CandidateTried) and isinstance(run[places[-1] - 1], Allocated)
    assert [len(Replay(run).record(place).search) for place in places[:4]] == [0, 1, 2, 3]
    assert Replay(run).record(places[-1]).allocation


def finished(name: str, perplexity: float) -> RunRecord:
    """A run with another perplexity."""
    record = RunRecord.fold(events(Recipe.build(allocation=name, sparsity=0.7), BLOCKS, FINISHED))
    assert record.pruned is not None
    return record.model_copy(update={"pruned": record.pruned.model_copy(update={"perplexity": perplexity})})


def test_the_race_is_won_by_the_lowest_perplexity():
    own = allocation.own_recipe([0.7] * 8, 0.7)
    mine = RunRecord.fold(events(own, BLOCKS, FINISHED))
    assert mine.pruned is not None
    records = {
        "neuroal": finished("neuroal", 90.0),
        "uniform": finished("uniform", 150.0),
        allocation.MINE: mine,
    }
    found = allocation.race(records, (0.7,) * 8)
    assert [racer.title for racer in found] == ["Your guess", "NeuroAL", "Uniform"]
    assert found[0].perplexity == mine.pruned.perplexity and found[0].distance == 0
    assert found[1].misalignment == pytest.approx(sum(block.alignment for block in records["neuroal"].blocks))
    assert found[1].distance == pytest.approx(allocation.apart((0.7,) * 8, records["neuroal"].allocation))


def test_a_run_that_is_not_finished_is_not_in_the_race():
    running = RunRecord.fold(events(Recipe.build(sparsity=0.7), 3))
    assert allocation.race({"uniform": running}, (0.7,) * 8) == ()


def test_ones_own_recipe_differs_from_the_recorded_one_in_the_allocation_alone():
    own, recorded = allocation.own_recipe([0.7] * 8, 0.7), allocation.recorded_recipe("uniform", 0.7)
    changed = {"allocation", "settings"}
    assert own.model_dump(exclude=changed) == recorded.model_dump(exclude=changed)
