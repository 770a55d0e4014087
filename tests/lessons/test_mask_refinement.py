"""Lesson 7: the row recomputed entry by entry in float64, its swaps one by one, and the matrix."""

from __future__ import annotations

import pytest
import torch

from engine.lessons import mask_refinement
from engine.lessons.mask_refinement import COLUMNS, CYCLES, METHODS, MOST_SWAPS, ROW_MEAN, ROW_SEED, Row


def drawn() -> tuple[list[float], list[list[list[float]]]]:
    """The row's weights and its inputs, as plain numbers by window, token and column."""
    weight, inputs = mask_refinement.draw(ROW_SEED, 1, COLUMNS, ROW_MEAN)
    return weight[0].tolist(), inputs.tolist()


def variance(column: int) -> float:
    """Return the mean over the windows of an input's population variance."""
    _, windows = drawn()
    found = []
    for window in windows:
        values = [token[column] for token in window]
        mean = sum(values) / len(values)
        found.append(sum((value - mean) ** 2 for value in values) / len(values))
    return sum(found) / len(found)


def norm(column: int) -> float:
    _, windows = drawn()
    return (sum(token[column] ** 2 for window in windows for token in window) / len(windows)) ** 0.5


def test_a_contribution_is_the_mean_over_the_windows():
    weights, windows = drawn()
    row = mask_refinement.row(0)
    for column, change in enumerate(row.changes):
        total = sum(token[column] for window in windows for token in window)
        assert change == pytest.approx(weights[column] * total / len(windows), rel=1e-4, abs=1e-4)


def test_the_first_mask_is_that_of_wanda():
    weights, _ = drawn()
    scores = [abs(weights[column]) * norm(column) for column in range(COLUMNS)]
    lowest = sorted(range(COLUMNS), key=scores.__getitem__)[: COLUMNS // 2]
    assert [column for column, kept in enumerate(mask_refinement.row(0).kept) if not kept] == sorted(lowest)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("swaps", range(MOST_SWAPS + 1))
def test_the_expected_and_the_real_error(method, swaps):
    weights, windows = drawn()
    row = mask_refinement.row(swaps, method)
    gone = [column for column, kept in enumerate(row.kept) if not kept]
    assert row.drift == pytest.approx(sum(row.changes[column] for column in gone), abs=1e-3)
    tokens = [token for window in windows for token in window]
    lost = sum(sum(weights[column] * token[column] for column in gone) ** 2 for token in tokens)
    whole = sum(
        sum(weight * value for weight, value in zip(weights, token, strict=True)) ** 2 for token in tokens
    )
    assert row.error == pytest.approx((lost / whole) ** 0.5, rel=1e-5)
    assert sum(row.kept) == COLUMNS // 2


@pytest.mark.parametrize("swaps", range(MOST_SWAPS))
def test_dsnot_takes_the_weight_that_corrects_most_with_the_least_noise(swaps):
    """The next swap, chosen by the definition among the weights that have not been swapped."""
    weights, _ = drawn()
    row, first = mask_refinement.row(swaps), mask_refinement.row(0)
    sign = 1 if row.drift > 0 else -1
    fresh = [column for column in range(COLUMNS) if row.kept[column] == first.kept[column]]
    back = {
        column: sign * row.changes[column] / variance(column)
        for column in fresh
        if not row.kept[column] and sign * row.changes[column] > 0
    }
    out = {
        column: abs(weights[column]) * norm(column)
        for column in fresh
        if row.kept[column] and sign * row.changes[column] < 0
    }
    assert row.following == (max(back, key=back.__getitem__), min(out, key=out.__getitem__))
    assert {column for column, rank in enumerate(row.growing) if rank is not None} == set(back)
    assert {column for column, rank in enumerate(row.leaving) if rank is not None} == set(out)


@pytest.mark.parametrize("method", METHODS)
def test_the_announced_swap_is_the_next_swap(method):
    rows = [mask_refinement.row(swaps, method) for swaps in range(MOST_SWAPS + 1)]
    assert [row.following for row in rows[:-1]] == [row.swapped for row in rows[1:]]
    swapped = [column for row in rows if row.swapped for column in row.swapped]
    assert len(swapped) == len(set(swapped)) == 2 * MOST_SWAPS
    assert rows[-1].following is None


def test_the_facts_stated_about_the_row():
    """The first swap lowers both errors; the second lowers the expected one, and the real one rises."""
    rows = [mask_refinement.row(swaps) for swaps in range(3)]
    assert abs(rows[0].drift) > abs(rows[1].drift) > abs(rows[2].drift)
    assert rows[1].error < rows[0].error < rows[2].error


def test_the_relative_method_chooses_other_swaps():
    assert [mask_refinement.row(swaps, "dsnot").swapped for swaps in range(MOST_SWAPS + 1)] != [
        mask_refinement.row(swaps, "r2-dsnot").swapped for swaps in range(MOST_SWAPS + 1)
    ]


def test_the_matrix_without_swaps_has_the_mask_of_wanda():
    weight, inputs = mask_refinement.draw(3, mask_refinement.ROWS, mask_refinement.WIDTH, 1.0)
    scores = (weight.abs() * inputs.square().sum((0, 1)).sqrt()).double()
    order = scores.argsort(dim=1)[:, : int(mask_refinement.WIDE_SPARSITY * mask_refinement.WIDTH)]
    keep = torch.ones_like(weight, dtype=torch.bool).scatter_(1, order, False)
    dense, pruned = inputs.double() @ weight.double().T, inputs.double() @ (weight * keep).double().T
    start = mask_refinement.matrix(1.0)[0]
    assert (start.cycles, start.drift) == (0, 1.0)
    assert start.error == pytest.approx(float((dense - pruned).norm() / dense.norm()), rel=1e-5)


def test_few_swaps_help_if_inputs_have_means_and_many_do_harm():
    states = mask_refinement.matrix(1.0)
    assert 0 < mask_refinement.best(states).cycles < 6 and states[-1].error > states[0].error
    assert mask_refinement.best(mask_refinement.matrix(0.0)).cycles == 0


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0])
def test_swaps_that_have_to_lower_the_expected_error_never_raise_it(mean):
    drifts = [state.drift for state in mask_refinement.matrix(mean, lower=True)]
    assert len(drifts) == len(CYCLES) and drifts == sorted(drifts, reverse=True)


def test_a_row_that_has_stopped_shows_no_swap():
    stopped: Row = mask_refinement.row(MOST_SWAPS + 1)
    assert stopped.swapped is None and stopped.kept == mask_refinement.row(MOST_SWAPS).kept
