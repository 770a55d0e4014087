"""Lesson 4: the updates compared with elimination and least squares in float64, and facts about new text."""

import numpy as np
import pytest
import torch

from engine.lessons import weight_updates
from engine.lessons.weight_updates import COLUMNS, CORRELATIONS, COUNTS, ON_CALIBRATION, ROWS, UPDATES

DAMPING = 0.01


def damped_hessian() -> np.ndarray:
    inputs = weight_updates.layer().inputs.double().numpy()
    hessian = 2 / len(inputs) * inputs.T @ inputs
    return hessian + DAMPING * np.mean(np.diag(hessian)) * np.eye(COLUMNS)


def eliminated(keep: np.ndarray, columns: int) -> np.ndarray:
    """Eliminate column by column: a removed weight changes the columns after it by the inverse Hessian of the
    columns that are not yet final.
    """
    weight, hessian = weight_updates.layer().weight.double().numpy().copy(), damped_hessian()
    for column in range(columns):
        inverse = np.linalg.inv(hessian[column:, column:])
        for row in range(ROWS):
            if not keep[row, column]:
                weight[row, column:] -= weight[row, column] / inverse[0, 0] * inverse[0]
                weight[row, column] = 0
    return weight


def wanda_mask() -> np.ndarray:
    drawn = weight_updates.layer()
    scores = drawn.weight.abs() * drawn.inputs.square().mean(0).sqrt()
    keep = np.ones((ROWS, COLUMNS), dtype=bool)
    for row in range(ROWS):
        keep[row, scores[row].argsort(stable=True)[: COLUMNS // 2]] = False
    return keep


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_the_second_weight_compensates_for_the_first(correlation):
    pair = weight_updates.pair(correlation)
    second = 1 + correlation / (1 + DAMPING)  # the damped least squares by hand
    size = 2 + 2 * correlation
    assert pair.second == pytest.approx(second, rel=1e-4)
    assert pair.unchanged == pytest.approx((1 / size) ** 0.5, rel=1e-4)
    remainder = 1 - 2 * correlation * (second - 1) + (second - 1) ** 2  # E (x1 - (w2' - 1) x2)^2
    assert pair.updated == pytest.approx((remainder / size) ** 0.5, rel=1e-3)
    assert pair.updated <= pair.unchanged + 1e-9


def test_the_curves_are_the_pairs():
    curves = weight_updates.pairs()
    assert [len(values) for values in curves.values()] == [len(CORRELATIONS)] * 2
    assert curves["Updated"][0] == pytest.approx(curves["Unchanged"][0])


@pytest.mark.parametrize("columns", range(COLUMNS + 1))
def test_after_each_column_the_weights_are_those_of_elimination(columns):
    weights = weight_updates.after_columns(columns)
    expected = eliminated(wanda_mask(), columns)
    assert np.allclose(weights.values, expected, atol=2e-4)
    assert [list(row[columns:]) for row in weights.kept] == [[True] * (COLUMNS - columns)] * ROWS


@pytest.mark.parametrize("columns", range(1, COLUMNS + 1))
def test_a_column_changes_only_columns_to_its_right(columns):
    moved = weight_updates.after_columns(columns).moved
    assert all(column >= columns for _, column in moved)
    assert moved or columns == COLUMNS


def test_before_the_first_column_nothing_has_happened():
    weights = weight_updates.after_columns(0)
    assert weights.error == 0 and weights.moved == ()


def test_the_joint_update_is_damped_least_squares():
    keep, hessian = wanda_mask(), damped_hessian()
    root = np.linalg.cholesky(hessian).T
    dense = weight_updates.layer().weight.double().numpy()
    for row, found in enumerate(weight_updates.updated("Joint", 0.5).values):
        stays = keep[row]
        expected = np.zeros(COLUMNS)
        expected[stays] = np.linalg.lstsq(root[:, stays], root @ dense[row], rcond=None)[0]
        assert np.allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_the_joint_solution_has_the_least_error_under_one_mask(sparsity):
    errors = weight_updates.errors(sparsity)
    assert tuple(errors) == tuple(UPDATES)
    assert errors["Joint"] <= errors["SparseGPT"] and errors["Joint"] <= errors["Nothing"]
    assert len({weight_updates.updated(name, sparsity).kept for name in UPDATES}) == 1
    assert {name: weight_updates.updated(name, sparsity).error for name in UPDATES} == errors


def test_no_update_leaves_the_kept_weights_unchanged():
    weights, dense = weight_updates.updated("Nothing", 0.5), weight_updates.layer().weight.tolist()
    assert all(
        value in (0, dense[row][column])
        for row, line in enumerate(weights.values)
        for column, value in enumerate(line)
    )


def test_the_facts_stated_about_new_text():
    errors = weight_updates.fresh_errors()
    assert errors["Joint"][0] > errors["Nothing"][0] > errors[ON_CALIBRATION][0]
    assert errors["Joint"][-1] < errors["SparseGPT"][-1] < errors["Nothing"][-1]
    assert len(set(errors["Nothing"])) == 1
    assert all(len(values) == len(COUNTS) for values in errors.values())


def test_the_new_tokens_have_the_same_distribution():
    first, more = weight_updates.layer(), weight_updates.with_tokens(weight_updates.FRESH)
    assert torch.equal(first.weight, more.weight)
    assert more.inputs.square().mean(0).sqrt().tolist() == pytest.approx(list(first.strengths), rel=0.3)
