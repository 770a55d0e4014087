"""A layer's least squares in units in which every input has norm 1, for updates that iterate with a penalty.

In these units one penalty suits every layer, and the magnitude of a weight is its Wanda score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError, NumericsError
from engine.hardware.transfers import require

if TYPE_CHECKING:
    from torch import Tensor


class ScaledLayer:
    """Minimise `(w - w_0) H (w - w_0)^T` for each row w, in scaled units.

    Args:
        weight: dense, `[out, in]`.
        hessian: `[in, in]`; is changed.
        damping: what is added to the diagonal of the scaled Hessian, which is 1.

    Attributes:
        scale: the root of the Hessian's diagonal, `[in]`; 1 for inputs that the text never activates, which
            are not coupled to others.
        hessian: H, scaled and damped, `[in, in]`.
        weight: w_0, scaled, `[out, in]`.
        target: `w_0 H`, `[out, in]`.
    """

    def __init__(self, weight: Tensor, hessian: Tensor, damping: float) -> None:
        norm = hessian.diagonal().sqrt()
        self.scale = norm.where(norm > 0, 1)
        self.hessian = hessian.div_(self.scale).div_(self.scale[:, None])
        self.hessian.diagonal().add_(damping)
        self.weight = weight * self.scale
        self.target = self.weight @ self.hessian

    def root(self, penalty: float) -> Tensor:
        """Return the lower triangular root of `H + penalty`, `[in, in]`.

        Raises:
            NumericsError: the Hessian is not finite, or not positive definite with this penalty.
        """
        shifted = self.hessian.clone()
        shifted.diagonal().add_(penalty)
        lower, failed = torch.linalg.cholesky_ex(shifted)
        # The status alone may miss NaN and infinity.
        require((failed == 0) & lower.isfinite().all(), self._unusable)
        return lower

    def _unusable(self) -> NumericsError:
        which = f"The Hessian of a layer with {len(self.hessian)} inputs is not"
        if not self.hessian.isfinite().all():
            return NonFiniteError(f"{which} finite.")
        return NumericsError(f"{which} positive definite. Raise the update's penalty or damping.")
