"""Lesson 9, small layers: masks, errors and the best mask from their definitions in float64, the facts that
the text states, and formulas that are refused.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from engine.errors import FormulaError, RecipeError
from engine.lessons import own_score, own_score_runs
from engine.lessons.own_score import BEST, COLUMNS, HAND_PAIR, LAYERS, PUBLISHED, ROWS, USER, WINDOW

WANDA = "abs(W) * a"
RIA = "(abs(W) / col_sum(abs(W)) + abs(W) / row_sum(abs(W))) * a ** 0.5"


def arrays(layer) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.numpy().astype(float), layer.inputs.numpy().astype(float)


def error(weight: np.ndarray, inputs: np.ndarray, keep: np.ndarray) -> float:
    return np.linalg.norm(inputs @ (weight * ~keep).T) / np.linalg.norm(inputs @ weight.T)


def norms(inputs: np.ndarray) -> np.ndarray:
    """a: the norm over the tokens of a window, as the root mean square over the windows."""
    windows = inputs.reshape(-1, WINDOW, inputs.shape[1])
    return np.sqrt((np.linalg.norm(windows, axis=1) ** 2).mean(0))


def scores(name: str, weight: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    size, strength = abs(weight), norms(inputs)
    relative = size / size.sum(0) + size / size.sum(1)[:, None]
    return {"magnitude": size, "wanda": size * strength, "ria": relative * strength**0.5}[name]


def lowest_removed(values: np.ndarray, removed: int) -> np.ndarray:
    """Return the mask without the lowest values of each row; of equal ones the lower column goes first."""
    keep = np.ones(values.shape, dtype=bool)
    for row, order in enumerate(np.argsort(values, axis=1, kind="stable")):
        keep[row, order[:removed]] = False
    return keep


def best_of_all(weight: np.ndarray, inputs: np.ndarray, removed: int) -> float:
    """Return the smallest error, each row's best mask found among all of them."""
    squares = sum(
        min(
            np.linalg.norm(inputs[:, list(gone)] @ row[list(gone)]) ** 2
            for gone in combinations(range(len(row)), removed)
        )
        for row in weight
    )
    return float(np.sqrt(squares) / np.linalg.norm(inputs @ weight.T))


@pytest.mark.parametrize("removed", [1, 3, 5, 7, 9])
def test_a_race_equals_its_definition(removed):
    weight, inputs = arrays(own_score.small_layer())
    race = own_score.small_race(WANDA, removed / COLUMNS)
    assert race.strengths == pytest.approx(norms(inputs), rel=1e-5)
    for name in PUBLISHED:
        keep = lowest_removed(scores(name, weight, inputs), removed)
        assert np.array_equal(race.racer(name).kept, keep)
        assert race.racer(name).error == pytest.approx(error(weight, inputs, keep))
    assert race.racer(BEST).error == pytest.approx(best_of_all(weight, inputs, removed))
    assert [racer.error for racer in race.racers] == sorted(racer.error for racer in race.racers)
    for racer in race.racers:
        assert np.sqrt(sum(part**2 for part in racer.row_errors)) == pytest.approx(racer.error)
        assert [row.count(False) for row in racer.kept] == [removed] * ROWS


@pytest.mark.parametrize("strength", [1, 8])
def test_wanda_is_the_best_mask_of_the_hand_sized_layer(strength):
    layer = own_score.hand_layer(strength)
    weight, inputs = arrays(layer)
    race = own_score.hand_race(strength)
    assert race.strengths == pytest.approx((1, 1, 1, strength))
    assert race.racer("wanda").error == pytest.approx(best_of_all(weight, inputs, 2))
    assert USER not in [racer.name for racer in race.racers]


def test_magnitude_removes_the_wrong_one_of_the_two_weights():
    row, large, small = HAND_PAIR
    race = own_score.hand_race(own_score.HAND_STRENGTH)
    magnitude, best = race.racer("magnitude"), race.racer(BEST)
    assert magnitude.kept[row][large] and not magnitude.kept[row][small]
    assert best.kept[row][small] and not best.kept[row][large]
    assert magnitude.error > 2 * best.error
    assert {(row, large), (row, small)} <= set(magnitude.differences(best))


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        (WANDA, "wanda"),
        (RIA, "ria"),
        (f"({WANDA}) * b", "wanda"),
        (f"log({WANDA})", "wanda"),
        ("abs(W)", "magnitude"),
    ],
)
def test_what_is_the_same_for_a_row_changes_no_mask(formula, same):
    for tenths in (3, 5, 8):
        race = own_score.small_race(formula, tenths / 10)
        assert not race.racer(USER).differences(race.racer(same))


def test_the_scores_are_neither_perfect_nor_alike_at_half():
    race = own_score.small_race("abs(W) / u", 0.5)
    best, mine, wanda, ria, magnitude = race.racers
    assert [best.name, mine.name, wanda.name, ria.name, magnitude.name] == [
        BEST,
        USER,
        "wanda",
        "ria",
        "magnitude",
    ]
    assert wanda.error > 1.1 * best.error and magnitude.error > 1.5 * wanda.error


def test_a_win_on_the_first_layer_is_not_one_on_the_others():
    """The formula that beats Wanda in the race loses on most other layers."""
    tally = own_score.tally("abs(W) / u", 0.5)
    assert tally.better + tally.same + tally.worse == LAYERS
    assert tally.worse > 3 * tally.better
    assert own_score.tally(WANDA, 0.5) == own_score.Tally(0, LAYERS, 0)


def test_the_tally_counts_smaller_errors():
    better = same = 0
    for number in range(1, LAYERS + 1):
        weight, inputs = arrays(own_score.small_layer(number))
        mine = lowest_removed(abs(weight) * norms(inputs) ** 0.5, 5)
        wanda = lowest_removed(scores("wanda", weight, inputs), 5)
        same += np.array_equal(mine, wanda)
        better += error(weight, inputs, mine) < error(weight, inputs, wanda)
    assert own_score.tally("abs(W) * a ** 0.5", 0.5) == own_score.Tally(better, same, LAYERS - better - same)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("", "is empty"),
        ("__import__('os').system('true')", "contains the character"),
        ("abs(W).__class__", "not allowed"),
        ("W" * 5000, "at most 400"),
        ("9 ** 9 ** 9 * W", "itself a power"),
        ("abs(W) * A", "the nearest name is a"),
        ("a * b * rand * 0", "same value for all weights"),
    ],
)
def test_a_hostile_or_useless_formula_is_refused_with_a_sentence(formula, said):
    with pytest.raises(RecipeError) as refused:
        own_score_runs.read(formula, 0.5)
    assert [said in fault.message for fault in refused.value.faults] == [True]


def test_a_formula_that_is_not_finite_for_a_weight_says_so():
    with pytest.raises(FormulaError, match="not finite for"):
        own_score.small_race("abs(W) / max(W - 0.1, 0)", 0.5)
