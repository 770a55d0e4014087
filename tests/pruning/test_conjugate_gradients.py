"""Conjugate gradients against least squares in float64, and when they replace the factorisations."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.pruning import conjugate_gradients
from engine.pruning.axes import FrozenMask
from engine.pruning.conjugate_gradients import LIMIT, fit_kept, is_cheaper, most_iterations
from engine.pruning.hessian import damped, inverse_factor
from engine.pruning.statistics import Statistics
from engine.pruning.updates import mrp
from tests.pruning import oracles

ROWS, WIDTH = 20, 96


def uneven_mask() -> Tensor:
    """Return a mask whose rows keep everything, nothing, and any share in between."""
    random = torch.rand(ROWS, WIDTH, generator=torch.Generator().manual_seed(2))
    return random < torch.linspace(0, 1, ROWS)[:, None]


def outliers(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return a weight and the damped Hessian of correlated inputs, of which one is a hundred times larger."""
    layer = oracles.random_layer(ROWS, WIDTH)
    inputs = layer.inputs.flatten(0, 1).double()
    inputs = inputs + inputs[:, :1]
    inputs[:, 7] *= 100
    return layer.weight.to(dtype), damped((inputs.T @ inputs).to(dtype), 0.01)


def losses(weight: Tensor, changed: Tensor, hessian: Tensor) -> Tensor:
    error = (changed - weight).double()
    return ((error @ hessian.double()) * error).sum(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_is_that_of_least_squares(dtype: torch.dtype) -> None:
    weight, hessian = outliers(dtype)
    keep = uneven_mask()
    found, failed = fit_kept(weight, keep, hessian, torch.linalg.inv(hessian.double()).to(dtype))
    root = torch.linalg.cholesky(hessian.double()).T  # any inputs with this Hessian
    best = torch.zeros(ROWS, WIDTH, dtype=torch.float64)
    for row, kept in enumerate(keep):
        target = (root @ weight[row].double())[:, None]
        best[row, kept] = torch.linalg.lstsq(root[:, kept], target).solution[:, 0]
    assert not failed.any() and not found[~keep].any()
    assert torch.equal(found[keep.all(1)], weight[keep.all(1)]) and keep.all(1).any()
    expected = losses(weight, best, hessian)
    assert (losses(weight, found, hessian) <= expected * (1 + 1e-5) + 1e-9 * expected.max()).all()


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, hessian = outliers(torch.float64)
    inverse = torch.linalg.inv(hessian)
    together, _ = fit_kept(weight, uneven_mask(), hessian, inverse)
    monkeypatch.setattr(conjugate_gradients, "NUMBERS_AT_ONCE", 3 * WIDTH)
    torch.testing.assert_close(fit_kept(weight, uneven_mask(), hessian, inverse)[0], together)


def test_a_row_that_does_not_converge_is_reported_and_affects_no_other() -> None:
    weight, hessian = outliers(torch.float64)
    weight[3] = torch.nan
    inverse = torch.linalg.inv(hessian)
    assert fit_kept(weight, uneven_mask(), hessian, inverse)[1].nonzero().tolist() == [[3]]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mrp, "is_cheaper", lambda unknowns, columns: True)


def test_rows_that_fail_are_factorised(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, hessian = outliers(torch.float64)
    upper = inverse_factor(hessian, ladder=(0.0,)).upper
    expected, _ = mrp.by_factorisations(weight, uneven_mask(), hessian, upper)
    monkeypatch.setattr(conjugate_gradients, "LIMIT", conjugate_gradients.CHECKED)
    found, failed = mrp.joint_update(weight, uneven_mask(), hessian, upper)
    assert not failed.any()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_a_matrix_that_is_not_positive_definite_is_damped_as_with_factorisations(always: None) -> None:
    hessian = torch.eye(5)
    hessian[0, 1] = hessian[1, 0] = 1.05
    hidden = SimpleNamespace(hessian=hessian, factor=inverse_factor(torch.eye(5)), width=5)
    keep = torch.tensor([[True, True, False, False, False], [False, False, True, False, True]])
    weight = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    keep[0, 2], hessian[0, 2], hessian[2, 0] = False, 0.5, 0.5  # something to compensate
    updated = mrp.mrp(weight, cast(Statistics, hidden), FrozenMask(keep))
    assert "damping of" in updated.warnings[0] and updated.weight.isfinite().all()


def test_wide_layers_are_solved_so_and_narrow_ones_as_before() -> None:
    def chosen(columns: int, sparsity: float) -> bool:
        return is_cheaper([min(sparsity, 1 - sparsity) * columns], columns)

    assert all(chosen(columns, 0.5) for columns in (3072, 4096, 11008))
    assert not any(chosen(columns, sparsity) for columns in (128, 384, 576) for sparsity in (0.3, 0.5, 0.7))
    assert not chosen(1536, 0.6) and not chosen(3072, 0.95)


@pytest.mark.parametrize("columns", [3072, 4096, 11008, 16384])
def test_a_row_of_a_wide_layer_is_iterated_no_longer_than_it_would_be_factorised(columns: int) -> None:
    factorisation = conjugate_gradients.FACTORISING * (columns / 2) ** 3 / 3
    assert LIMIT < most_iterations(columns) <= factorisation / (4 * columns**2) < most_iterations(columns) + 1
    assert most_iterations(2048) == LIMIT
