"""Lesson 3: each freedom removes what it says, and contains the next."""

from math import comb, log10

import pytest
import torch

from engine.lessons import groups
from engine.lessons.groups import COLUMNS, FREEDOMS, LAYER, MATRICES, PATTERNS, QUIET, ROW, ROWS


def removed(kept, start=0, stop=COLUMNS):
    return [sum(not stays for stays in row[start:stop]) for row in kept]


def test_the_quiet_row_is_gone_within_the_layer_and_halved_within_rows():
    layer, rows = groups.masked(LAYER, "magnitude"), groups.masked(ROW, "magnitude")
    assert layer.row_shares[QUIET] == 1
    assert sum(removed(layer.kept)) == ROWS * COLUMNS // 2
    assert rows.row_shares == (0.5,) * ROWS
    assert max(abs(value) for value in layer.weights[QUIET]) == pytest.approx(groups.SMALL)


def test_at_some_lower_sparsity_the_quiet_row_survives():
    assert groups.masked(LAYER, "magnitude", 0.1).row_shares[QUIET] < 1


@pytest.mark.parametrize("score", groups.SCORE_NAMES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_removes_as_many_of_each_group(pattern, score):
    n, m = map(int, pattern.split(":"))
    kept = groups.masked(pattern, score).kept
    assert all(removed(kept, start, start + m) == [m - n] * ROWS for start in range(0, COLUMNS, m))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_pattern_forces_is_what_a_row_would_keep(pattern):
    masked = groups.masked(pattern, "magnitude")
    assert masked.forced
    for row, column in masked.forced:
        sizes = sorted((abs(value) for value in masked.weights[row]), reverse=True)
        kept_by_row = COLUMNS - removed(masked.kept)[row]
        assert not masked.kept[row][column]
        assert abs(masked.weights[row][column]) >= sizes[kept_by_row - 1]


def test_groups_as_wide_as_the_row_force_nothing():
    assert groups.masked(ROW, "wanda").forced == ()


@pytest.mark.parametrize("score", groups.SCORE_NAMES)
def test_a_wider_freedom_never_keeps_less_of_the_score(score):
    for matrix in range(1, MATRICES + 1):
        kept = [price.kept_score for price in groups.prices(matrix, score)]
        assert kept == sorted(kept, reverse=True), matrix


@pytest.mark.parametrize("score", groups.SCORE_NAMES)
def test_the_output_error_mostly_follows_and_not_always(score):
    found = [[price.error for price in groups.prices(matrix, score)] for matrix in range(1, MATRICES + 1)]
    follows = [errors[0] < errors[-1] for errors in found]
    assert sum(follows) > MATRICES * 0.8
    assert any(errors != sorted(errors) for errors in found)


def test_prices_count_the_masks():
    digits = {price.freedom: price.digits for price in groups.prices(1, "wanda")}
    expected = {LAYER: comb(96, 48), ROW: comb(16, 8) ** 6, "4:8": comb(8, 4) ** 12, "2:4": comb(4, 2) ** 24}
    assert tuple(digits) == FREEDOMS
    assert digits == pytest.approx({name: log10(masks) for name, masks in expected.items()})


def test_what_is_kept_is_a_share_of_the_scores():
    drawn = groups.layer(3)
    strengths = drawn.inputs.double().square().mean(0).sqrt()
    scores = drawn.weight.double().abs() * strengths
    best = scores.flatten().sort(descending=True).values[:48].sum() / scores.sum()
    assert groups.prices(3, "wanda")[0].kept_score == pytest.approx(float(best), rel=1e-5)
    assert not torch.equal(groups.layer(3).weight, groups.layer(4).weight)
