"""Lesson 9 on the bundled model: its recipes, whose runs are bundled; local errors and perplexities; and what
repeats say.
"""

from __future__ import annotations

import pytest

from engine.lessons import own_score_runs
from engine.lessons.own_score_runs import SPARSITIES, Repeat, Way
from engine.recipe import pin
from engine.store.runs import RECORDED
from tests.charts.records import record

RECIPE = own_score_runs.read("abs(W)*a  ** 0.5", 0.6)


def test_a_formula_becomes_a_recipe_in_canonical_form():
    assert own_score_runs.expression(RECIPE) == "abs(W) * a ** 0.5"
    assert RECIPE.score == "formula" and RECIPE.sparsity == 0.6
    assert RECIPE.key == own_score_runs.read("(abs(W) * a ** 0.5)", 0.6).key


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_the_runs_to_compare_with_are_bundled(sparsity):
    recipes = [*own_score_runs.published(sparsity), *own_score_runs.recorded_ways(sparsity).values()]
    assert all((RECORDED / pin(recipe).key).is_dir() for recipe in recipes)


def test_repeats_change_only_the_windows_or_their_order():
    pairs = own_score_runs.repeated(RECIPE)
    raced, ordered, sampled = pairs.values()
    assert raced[0] == RECIPE and raced[1].score == "wanda" and raced[1].sparsity == RECIPE.sparsity
    for one, order, seed in zip(raced, ordered, sampled, strict=True):
        assert order == one.model_copy(update={"order": 1}) and seed == one.model_copy(update={"seed": 1})
    assert len({pin(one).key for pair in pairs.values() for one in pair}) == 6


def test_the_standing_has_the_finished_runs_by_perplexity():
    runs = [(record(pruner=pruner, sparsity=0.6), pruner == "ria") for pruner in ("wanda", "ria")]
    unfinished = [(record(3, pruner="magnitude", sparsity=0.6), True)]
    entries = own_score_runs.standing([*runs, *unfinished], 0.6)
    assert {entry.point.family: entry.point.own for entry in entries} == {"Wanda": False, "RIA": True}


def test_ways_are_ordered_by_the_mean_error_of_their_linears():
    low, high = record(pruner="wanda", sparsity=0.5), record(pruner="ria", sparsity=0.5)
    blocks = tuple(
        block.model_copy(
            update={
                "linears": tuple(
                    linear.model_copy(update={"output_error": 2 * linear.output_error})
                    for linear in block.linears
                )
            }
        )
        for block in high.blocks
    )
    found = own_score_runs.ways({"RIA": high.model_copy(update={"blocks": blocks}), "Wanda": low})
    assert [way.name for way in found] == ["Wanda", "RIA"]
    assert found[1].error == pytest.approx(2 * found[0].error)


@pytest.mark.parametrize(
    ("perplexities", "place", "third"), [((1, 2, 3), 0, 0), ((2, 1, 3), 1, 1), ((3, 1, 2), 2, 2)]
)
def test_the_place_of_the_smallest_error_by_perplexity(perplexities, place, third):
    found = [Way(str(at), 0.1 * at, value) for at, value in enumerate(perplexities)]
    assert own_score_runs.place_of_first(found) == place
    assert own_score_runs.third(place, len(found)) == third


@pytest.mark.parametrize(
    ("pairs", "moved", "said"),
    [
        ([(60, 64), (61, 65)], 1, "Your formula is ahead each time, by more"),
        ([(64, 60), (66, 61)], 2, "Wanda is ahead each time, by more"),
        ([(60, 61), (63, 64)], 3, "a hint, not a result"),
        ([(60, 61), (63, 62)], 3, "depends on the condition"),
        ([(60, 60), (61, 61)], 1, "the same perplexity"),
    ],
)
def test_repeats_decide_only_by_more_than_what_they_move(pairs, moved, said):
    found = [Repeat(str(at), *pair) for at, pair in enumerate(pairs)]
    assert own_score_runs.moved(found) == moved
    assert said in own_score_runs.verdict(found)
