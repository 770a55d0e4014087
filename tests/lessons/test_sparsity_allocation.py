"""Lesson 5: guesses that meet the target, including NeuroAL's slopes; the moments of a search, and the result
of a race.
"""

from __future__ import annotations

import pytest

from engine.events import Allocated, CandidateTried
from engine.lessons import sparsity_allocation
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
    ratios = sparsity_allocation.guess(slope, ends, sizes, target)
    mean = sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)
    assert mean == pytest.approx(target, abs=1e-4)
    assert all(0.01 <= ratio <= 0.99 for ratio in ratios)


@pytest.mark.parametrize("strength", [0.05, 0.1, 0.15])
def test_a_slope_is_one_that_neuroal_tries(strength):
    """`s - lambda + 2 lambda l / (L - 1)`."""
    expected = [0.7 - strength + 2 * strength * block / 7 for block in range(8)]
    assert sparsity_allocation.guess(strength, 0.0, EVEN, 0.7) == pytest.approx(expected, abs=1e-4)


def test_a_bend_lowers_both_ends():
    ratios = sparsity_allocation.guess(0.0, 0.2, EVEN, 0.5)
    assert ratios == ratios[::-1] and ratios[0] < 0.5 < ratios[3]
    assert max(ratios) - min(ratios) == pytest.approx(0.2 * (1 - 1 / 49), abs=2e-4)


def test_the_distance_of_two_allocations():
    assert sparsity_allocation.distance((0.5, 0.7), (0.6, 0.4)) == pytest.approx(0.2)


@pytest.mark.parametrize(("objectives", "trend"), [([1, 2, 3], 0), ([3, 2, 1], 1), ([3, 1, 2], 2)])
def test_the_trend_of_an_objective(objectives, trend):
    assert sparsity_allocation.trend(objectives) == trend


def test_the_moments_of_a_search():
    run = events(Recipe.build(allocation="neuroal", sparsity=0.7), BLOCKS, FINISHED)
    moments = sparsity_allocation.search_moments(run)
    assert not any(isinstance(event, CandidateTried) for event in run[: moments[0]])
    assert isinstance(run[moments[1] - 1], CandidateTried) and isinstance(run[moments[-1] - 1], Allocated)
    assert [len(Replay(run).record(moment).search) for moment in moments[:4]] == [0, 1, 2, 3]
    assert Replay(run).record(moments[-1]).allocation


def finished(name: str, perplexity: float) -> RunRecord:
    """A run with another perplexity."""
    record = RunRecord.fold(events(Recipe.build(allocation=name, sparsity=0.7), BLOCKS, FINISHED))
    assert record.pruned is not None
    return record.model_copy(update={"pruned": record.pruned.model_copy(update={"perplexity": perplexity})})


def test_the_race_is_won_by_the_lowest_perplexity():
    user = sparsity_allocation.user_recipe([0.7] * 8, 0.7)
    record = RunRecord.fold(events(user, BLOCKS, FINISHED))
    assert record.pruned is not None
    records = {
        "neuroal": finished("neuroal", 90.0),
        "uniform": finished("uniform", 150.0),
        sparsity_allocation.USER: record,
    }
    found = sparsity_allocation.race(records, (0.7,) * 8)
    assert [racer.title for racer in found] == ["Your guess", "NeuroAL", "Uniform"]
    assert found[0].perplexity == record.pruned.perplexity and found[0].distance == 0
    assert found[1].misalignment == pytest.approx(sum(block.alignment for block in records["neuroal"].blocks))
    assert found[1].distance == pytest.approx(
        sparsity_allocation.distance((0.7,) * 8, records["neuroal"].allocation)
    )


def test_an_unfinished_run_is_not_in_the_race():
    running = RunRecord.fold(events(Recipe.build(sparsity=0.7), 3))
    assert sparsity_allocation.race({"uniform": running}, (0.7,) * 8) == ()


def test_the_users_recipe_differs_from_the_bundled_one_only_in_the_allocation():
    user, bundled = (
        sparsity_allocation.user_recipe([0.7] * 8, 0.7),
        sparsity_allocation.bundled_recipe("uniform", 0.7),
    )
    changed = {"allocation", "settings"}
    assert user.model_dump(exclude=changed) == bundled.model_dump(exclude=changed)
