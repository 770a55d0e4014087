"""Lesson 1: its numbers compared with an exhaustive search, and the facts that its text states."""

import random
from itertools import combinations
from math import factorial

import pytest
import torch

from engine.lessons import pruning_by_hand
from engine.lessons.pruning_by_hand import COUNTS, WEIGHTS

HALF = WEIGHTS // 2


def error(removed) -> float:
    """‖X(W - W')ᵀ‖ / ‖XWᵀ‖ without these weights, in float64."""
    inputs, weight = pruning_by_hand.layer().inputs.double(), pruning_by_hand.layer().weight.double()
    change = torch.zeros(WEIGHTS, dtype=torch.double)
    change[list(removed)] = weight.flatten()[list(removed)]
    return float((inputs @ change.view_as(weight).T).norm() / (inputs @ weight.T).norm())


def removed_by(keep: torch.Tensor) -> set[int]:
    return set((~keep).flatten().nonzero().flatten().tolist())


def test_the_layer_without_some_weights():
    pruned = pruning_by_hand.without({0, 9, 63})
    assert [
        (row, column)
        for row, line in enumerate(pruned.kept)
        for column, stays in enumerate(line)
        if not stays
    ] == [(0, 0), (1, 1), (7, 7)]
    assert pruned.error == pytest.approx(error({0, 9, 63}))
    assert pruning_by_hand.without(()).error == 0 and pruning_by_hand.without(range(WEIGHTS)).error == 1


def test_the_cost_of_each_weight_is_the_error_without_it():
    costs = [cost for row in pruning_by_hand.costs() for cost in row]
    assert costs == pytest.approx([error({place}) for place in range(WEIGHTS)], rel=1e-4)


def test_the_best_mask_of_two_is_the_best_of_all_pairs():
    best = min(combinations(range(WEIGHTS), 2), key=error)
    assert removed_by(pruning_by_hand.best_mask(2)) == set(best)


@pytest.mark.parametrize("count", [1, 17, HALF, 63])
def test_no_swap_and_no_random_mask_beats_the_best(count):
    removed = removed_by(pruning_by_hand.best_mask(count))
    assert len(removed) == count
    best, stays = error(removed) - 1e-12, set(range(WEIGHTS)) - removed
    assert all(error(removed - {out} | {new}) >= best for out in removed for new in stays)
    draw = random.Random(1)
    assert all(error(draw.sample(range(WEIGHTS), count)) >= best for _ in range(300))


def test_nothing_and_everything_are_masks_too():
    assert pruning_by_hand.best_mask(0).all() and not pruning_by_hand.best_mask(WEIGHTS).any()


def test_curves_rise_above_the_best():
    curves = pruning_by_hand.curves()
    assert set(curves) == {*pruning_by_hand.SCORE_NAMES, "best"}
    assert all(len(errors) == len(COUNTS) for errors in curves.values())
    assert list(curves["best"]) == sorted(curves["best"])
    assert all(
        errors[at] >= curves["best"][at] - 1e-9 for errors in curves.values() for at in range(len(COUNTS))
    )


def test_the_facts_stated_about_half_of_the_weights():
    half = {name: errors[list(COUNTS).index(HALF)] for name, errors in pruning_by_hand.curves().items()}
    assert half["magnitude"] > 2 * half["best"]
    assert half["best"] < half["wanda"] < 1.12 * half["best"]
    assert pruning_by_hand.masks(HALF) == factorial(64) // factorial(32) ** 2
    assert 1e18 < pruning_by_hand.masks(HALF) < 1e19


@pytest.mark.parametrize("removed", [range(5), range(0, 64, 2), range(60)])
def test_the_leaderboard_is_sorted_and_correct(removed):
    entries = pruning_by_hand.leaderboard(removed)
    errors = {entry.name: entry.error for entry in entries}
    assert [entry.error for entry in entries] == sorted(errors.values())
    assert errors["You"] == pytest.approx(error(removed))
    assert errors["Best possible mask"] == min(entry.error for entry in entries if not entry.updated)
    assert errors["Best possible mask, then an update"] <= errors["Best possible mask"]
    assert [entry.name for entry in entries if entry.by_user] == ["You"]


@pytest.mark.parametrize("score", pruning_by_hand.SCORE_NAMES)
def test_a_score_removes_the_requested_number(score):
    for count in COUNTS:
        assert sum(not stays for row in pruning_by_hand.scored(score, count).kept for stays in row) == count
