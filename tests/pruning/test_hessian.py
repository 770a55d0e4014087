"""The inverse factor of the damped Hessian, checked by multiplying back in float64."""

import pytest
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning.hessian import DAMPING_LADDER, inverse_factor
from tests.pruning import oracles


def spectrum(*eigenvalues: float, seed: int = 0) -> Tensor:
    """Return a symmetric float32 matrix with these eigenvalues and random eigenvectors."""
    size = len(eigenvalues)
    basis, _ = torch.linalg.qr(
        torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )
    matrix = basis @ torch.tensor(eigenvalues, dtype=torch.float64).diag() @ basis.T
    return ((matrix + matrix.T) / 2).float()


def assert_factors(upper: Tensor, matrix: Tensor, damping: float, tolerance: float = 1e-4) -> None:
    """Assert `U^T U (H + damping * mean(diag H) I) = 1`, with ones in H for dead columns."""
    upper, expected = upper.double(), oracles.damped(matrix, damping)
    assert torch.equal(upper, upper.triu())
    assert (upper.diagonal() > 0).all()
    torch.testing.assert_close(
        upper.T @ upper @ expected, torch.eye(len(expected), dtype=torch.float64), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("width", [1, 2, 33, 128, 200, 301, 600])
def test_the_factor_of_a_well_conditioned_hessian(width: int) -> None:
    matrix = oracles.hessian(oracles.random_layer(2, width).inputs).float()
    factor = inverse_factor(matrix.clone())
    assert factor.damping == DAMPING_LADDER[0] == 0.01
    assert not factor.dead.any()
    assert_factors(factor.upper, matrix, 0.01)


def test_a_factor_by_hand() -> None:
    # Diagonal 2 and 8: mean 5, damping 0.05; the factor of a diagonal matrix is 1 / sqrt of each entry.
    factor = inverse_factor(torch.diag(torch.tensor([2.0, 8.0])))
    torch.testing.assert_close(factor.upper, torch.diag(torch.tensor([2.05**-0.5, 8.05**-0.5])))


def test_the_diagonal_gives_the_inverse_of_the_remaining_columns() -> None:
    """`U_jj^2` is the first entry of the inverse Hessian of columns j and later, the divisor of obs."""
    matrix = oracles.hessian(oracles.random_layer(2, 20).inputs)
    upper = inverse_factor(matrix.float()).upper.double()
    for column in range(20):
        inverse = oracles.remaining_inverse(oracles.damped(matrix), column)
        torch.testing.assert_close(upper[column, column].square(), inverse[0, 0], rtol=1e-4, atol=0)
        torch.testing.assert_close(
            upper[column, column] * upper[column, column:],
            inverse[0],
            rtol=1e-3,
            atol=1e-5 * float(inverse[0, 0]),
        )


def test_the_oracles_elimination_gives_the_remaining_inverse() -> None:
    matrix = oracles.damped(oracles.hessian(oracles.random_layer(2, 12).inputs))
    for column, inverse in enumerate(oracles.eliminate(matrix)):
        torch.testing.assert_close(inverse, oracles.remaining_inverse(matrix, column))


def test_a_singular_hessian_needs_only_the_first_damping() -> None:
    matrix = spectrum(5.0, 3.0, 1.0, 0.0, 0.0, 0.0)
    factor = inverse_factor(matrix.clone())
    assert factor.damping == 0.01
    assert_factors(factor.upper, matrix, 0.01)


@pytest.mark.parametrize(("lowest", "damping"), [(-0.003, 0.01), (-0.05, 0.1), (-0.5, 1.0)])
def test_the_damping_is_raised_until_the_factorisation_succeeds(lowest: float, damping: float) -> None:
    """The eigenvalues have mean 1 and the lowest is negative; the damping must exceed its magnitude."""
    matrix = spectrum(lowest, 1.0, 1.0, 1.0, 2.0 - lowest)
    factor = inverse_factor(matrix.clone())
    assert factor.damping == pytest.approx(damping)
    assert_factors(factor.upper, matrix, damping, tolerance=1e-3)


def test_the_ladder_multiplies_the_published_damping_by_ten_up_to_one() -> None:
    assert pytest.approx((0.01, 0.1, 1.0)) == DAMPING_LADDER


def test_each_step_damps_the_original_hessian() -> None:
    """If the steps added up, they would give 0.11 and 1.11."""
    matrix = spectrum(-0.05, 1.0, 1.0, 1.0, 2.05)
    assert_factors(inverse_factor(matrix.clone(), (0.01, 0.1)).upper, matrix, 0.1)


def test_a_hessian_that_no_damping_fixes_is_rejected() -> None:
    with pytest.raises(NumericsError) as error:
        inverse_factor(spectrum(-5.0, 1.0, 1.0, 1.0, 7.0))
    assert_sentence(str(error.value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [(1, 1), (0, 2)])
def test_non_finite_values_are_rejected(value: float, place: tuple[int, int]) -> None:
    matrix = torch.eye(4)
    matrix[place] = matrix[place[::-1]] = value
    with pytest.raises(NumericsError) as error:
        inverse_factor(matrix)
    assert_sentence(str(error.value))


def assert_sentence(message: str) -> None:
    assert len(message.split()) >= 5 and message[0].isupper() and message.endswith((".", "!"))


def test_dead_columns_get_a_unit_diagonal() -> None:
    inputs = oracles.random_layer(2, 9).inputs
    inputs[..., [0, 4, 8]] = 0
    matrix = oracles.hessian(inputs).float()
    factor = inverse_factor(matrix.clone())
    assert factor.dead.dtype == torch.bool and factor.dead.nonzero().flatten().tolist() == [0, 4, 8]
    assert_factors(factor.upper, matrix, 0.01)
    off_diagonal = factor.upper - torch.diag(factor.upper.diagonal())
    assert not off_diagonal[factor.dead].any() and not off_diagonal[:, factor.dead].any()


def test_all_columns_dead() -> None:
    factor = inverse_factor(torch.zeros(5, 5))
    assert factor.dead.all()
    torch.testing.assert_close(factor.upper, torch.eye(5) * 1.01**-0.5)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_factor_scales_with_the_hessian(scale: float) -> None:
    matrix = oracles.hessian(oracles.random_layer(2, 20).inputs).float()
    expected = inverse_factor(matrix.clone()).upper / scale**0.5
    torch.testing.assert_close(
        inverse_factor(matrix * scale).upper, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max())
    )
