"""Lesson 3: each grouping removes the right weights, and its masks contain those of the next."""

from math import comb, log10

import pytest
import torch

from engine.lessons import comparison_groups
from engine.lessons.comparison_groups import (
    COLUMNS,
    GROUPINGS,
    LAYER,
    MATRICES,
    PATTERNS,
    ROW,
    ROWS,
    WEAK_ROW,
)


def removed(kept, start=0, stop=COLUMNS):
    return [sum(not stays for stays in row[start:stop]) for row in kept]


def test_the_weak_row_dies_within_the_layer_and_is_halved_within_rows():
    layer, rows = comparison_groups.masked(LAYER, "magnitude"), comparison_groups.masked(ROW, "magnitude")
    assert layer.row_shares[WEAK_ROW] == 1
    assert sum(removed(layer.kept)) == ROWS * COLUMNS // 2
    assert rows.row_shares == (0.5,) * ROWS
    assert max(abs(value) for value in layer.weights[WEAK_ROW]) == pytest.approx(comparison_groups.SMALL)


def test_at_a_lower_sparsity_the_weak_row_survives():
    assert comparison_groups.masked(LAYER, "magnitude", 0.1).row_shares[WEAK_ROW] < 1


@pytest.mark.parametrize("score", comparison_groups.SCORE_NAMES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_removes_the_same_number_from_each_group(pattern, score):
    n, m = map(int, pattern.split(":"))
    kept = comparison_groups.masked(pattern, score).kept
    assert all(removed(kept, start, start + m) == [m - n] * ROWS for start in range(0, COLUMNS, m))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_forced_weight_would_be_kept_within_its_row(pattern):
    masked = comparison_groups.masked(pattern, "magnitude")
    assert masked.forced
    for row, column in masked.forced:
        sizes = sorted((abs(value) for value in masked.weights[row]), reverse=True)
        kept_by_row = COLUMNS - removed(masked.kept)[row]
        assert not masked.kept[row][column]
        assert abs(masked.weights[row][column]) >= sizes[kept_by_row - 1]


def test_groups_as_wide_as_the_row_force_nothing():
    assert comparison_groups.masked(ROW, "wanda").forced == ()


@pytest.mark.parametrize("score", comparison_groups.SCORE_NAMES)
def test_a_wider_group_never_keeps_less_of_the_score(score):
    for matrix in range(1, MATRICES + 1):
        kept = [price.kept_score for price in comparison_groups.prices(matrix, score)]
        assert kept == sorted(kept, reverse=True), matrix


@pytest.mark.parametrize("score", comparison_groups.SCORE_NAMES)
def test_the_output_error_follows_often_but_not_always(score):
    found = [
        [price.error for price in comparison_groups.prices(matrix, score)]
        for matrix in range(1, MATRICES + 1)
    ]
    follows = [errors[0] < errors[-1] for errors in found]
    assert sum(follows) > MATRICES * 0.8
    assert any(errors != sorted(errors) for errors in found)


def test_prices_count_the_masks():
    digits = {price.grouping: price.digits for price in comparison_groups.prices(1, "wanda")}
    expected = {LAYER: comb(96, 48), ROW: comb(16, 8) ** 6, "4:8": comb(8, 4) ** 12, "2:4": comb(4, 2) ** 24}
    assert tuple(digits) == GROUPINGS
    assert digits == pytest.approx({name: log10(masks) for name, masks in expected.items()})


def test_the_kept_score_is_a_share_of_all_scores():
    drawn = comparison_groups.layer(3)
    strengths = drawn.inputs.double().square().mean(0).sqrt()
    scores = drawn.weight.double().abs() * strengths
    best = scores.flatten().sort(descending=True).values[:48].sum() / scores.sum()
    assert comparison_groups.prices(3, "wanda")[0].kept_score == pytest.approx(float(best), rel=1e-5)
    assert not torch.equal(comparison_groups.layer(3).weight, comparison_groups.layer(4).weight)
