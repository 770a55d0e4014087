"""Seeds of a recipe, and the spread of their perplexities."""

import pytest

from engine.analysis.comparison.seeds import LARGEST_SEED, over_seeds, spreads
from engine.events import Evaluated, Finished, Score
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.event_samples import run_started


def record(*perplexities: float, finished: bool = True) -> RunRecord:
    def score(value: float) -> Score:
        return Score(perplexity=value, nll=1.0, tokens=10)

    scores = [
        Evaluated(corpus=name, dense=score(5.0), pruned=score(value))
        for name, value in zip("ab", perplexities, strict=False)
    ]
    end = [Finished(coverage=0.9, timings={}, peak_host=None, peak_device=None)] if finished else []
    return RunRecord.fold([run_started(), *scores, *end])


def test_the_seeds_follow_the_recipes_own_and_nothing_else_changes() -> None:
    recipe = Recipe.build(seed=7, pruner="ria")
    found = over_seeds(recipe, 3)
    assert [one.seed for one in found] == [7, 8, 9] and found[0].key == recipe.key
    assert all(one.model_copy(update={"seed": 7}) == recipe for one in found)


def test_after_the_largest_seed_comes_zero() -> None:
    found = over_seeds(Recipe.build(seed=LARGEST_SEED), 2)
    assert [one.seed for one in found] == [LARGEST_SEED, 0]
    assert all(Recipe.build(one.model_dump()) == one for one in found)


def test_mean_and_sample_standard_deviation_by_hand() -> None:
    found = spreads([record(2.0, 10.0), record(4.0, 10.0), record(9.0, 10.0), record(1.0, finished=False)])
    assert list(found) == ["a", "b"]
    first, second = found.values()
    assert (first.mean, second.deviation) == (5.0, 0.0)
    assert first.deviation == pytest.approx(13**0.5)  # squares 9 + 1 + 16 = 26, over 3 - 1


def test_one_seed_has_no_deviation_and_none_has_no_spread() -> None:
    assert spreads([record(2.0)])["a"].deviation is None
    assert spreads([record(2.0, finished=False)]) == {} == spreads([])


def test_a_corpus_that_not_all_measured_is_left_out() -> None:
    assert list(spreads([record(2.0, 3.0), record(2.0)])) == ["a"]
