"""The inverse factor of a layer's Hessian, shared by SparseGPT's score and the updates.

`H = 2/N X^T X` is damped and written as `R R^T` with R upper triangular (a Cholesky factorisation of H with
rows and columns reversed), so that `U = R^-1` is the upper factor of the inverse, `H^-1 = U^T U`, without
ever forming the inverse: `2/3 in^3` operations where the usual three steps take `4/3 in^3`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError, NumericsError

if TYPE_CHECKING:
    from torch import Tensor


DAMPING_LADDER = (0.01, 0.1, 1.0)
"""Dampings to try in turn; the first is the published one."""
SMALL = 256
"""Width up to which the library inverts a triangular matrix directly: below it, halving costs more calls than
it saves operations.
"""


@dataclass(frozen=True)
class InverseFactor:
    """`U` with `H^-1 = U^T U` for the damped Hessian.

    Attributes:
        upper: U, `[in, in]`, upper triangular.
        damping: the fraction of the mean diagonal that was added to the diagonal.
        dead: columns that the calibration text never activates, `[in]` bool; their diagonal entry was set to
            1.
    """

    upper: Tensor
    damping: float
    dead: Tensor

    @cached_property
    def may_have_dead(self) -> bool:
        """False if no column is dead. On an accelerator it is True, because the host would have to wait."""
        return self.dead.device.type != "cpu" or bool(self.dead.any())

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence if more than the published damping was needed."""
        usual = DAMPING_LADDER[0]  # a fraction of the mean diagonal
        return (
            ()
            if self.damping <= usual
            else (f"the Hessian needed a damping of {self.damping:g} instead of {usual:g}",)
        )


def damped(hessian: Tensor, damping: float) -> Tensor:
    """Return a copy of `hessian`, `[in, in]`, with 1 on the diagonal of dead columns and then a fraction of
    the mean diagonal added to the whole diagonal.
    """
    # As published, the 1 of a dead column counts in the mean that scales the damping.
    diagonal = hessian.diagonal().where(hessian.diagonal() != 0, 1)  # [in]
    result = hessian.clone()
    result.diagonal().copy_(diagonal + damping * diagonal.mean())
    return result


def inverse_factor(hessian: Tensor, ladder: tuple[float, ...] = DAMPING_LADDER) -> InverseFactor:
    """Return the factor of the inverse of `hessian`, `[in, in]`, with the first damping of `ladder` that
    works (SparseGPT, arXiv 2301.00774).

    Raises:
        NonFiniteError: the matrix holds NaN or infinity.
        NumericsError: no damping makes it positive definite.
    """
    for damping in ladder:
        factor, works = factor_with(hessian, damping)
        if works:
            return factor
    problem = f"The Hessian of a layer with {len(hessian)} inputs is not"
    if not hessian.isfinite().all():
        raise NonFiniteError(f"{problem} finite.")
    raise NumericsError(
        f"{problem} positive definite even with damping {ladder[-1]}. Try more or other calibration text."
    )


def factor_with(hessian: Tensor, damping: float) -> tuple[InverseFactor, Tensor]:
    """Return the factor of the inverse of `hessian`, `[in, in]`, with this damping, and whether it can be
    used, a bool without dimensions: the damped matrix is positive definite and all numbers are finite.
    """
    # flipping rows and columns turns the lower Cholesky factor into an upper one
    lower, failed = torch.linalg.cholesky_ex(damped(hessian, damping).flip(0, 1))
    root = lower.flip(0, 1)  # R, upper triangular
    # LAPACK's status alone may miss NaN and infinity; wherever they are in a row, they reach its diagonal.
    works = (failed == 0) & lower.diagonal().isfinite().all()
    return InverseFactor(invert_upper(root), damping, hessian.diagonal() == 0), works


def invert_upper(root: Tensor) -> Tensor:
    """Return the inverse of an upper triangular matrix `[n, n]`.

    Works by halves: the inverse of `[[A, B], [0, C]]` is `[[A^-1, -A^-1 B C^-1], [0, C^-1]]`. A triangular
    solve against the identity would take three times the operations, because it cannot know that the result
    is triangular.
    """
    size = len(root)
    if size <= SMALL:
        return torch.linalg.solve_triangular(
            root, torch.eye(size, dtype=root.dtype, device=root.device), upper=True
        )
    half = size // 2
    inverse = torch.zeros_like(root)
    inverse[:half, :half] = first = invert_upper(root[:half, :half])  # A^-1
    inverse[half:, half:] = second = invert_upper(root[half:, half:])  # C^-1
    inverse[:half, half:] = -(first @ (root[:half, half:] @ second))  # -A^-1 B C^-1
    return inverse
