"""APT's joint update: all that a row loses is made up for by all that it keeps, at once and as well as can be
(its update letter M).

Among all weights with the given mask these are the ones with the least error of the layer's output. Each row
has a system of its own, over its removed weights or over its kept ones, whichever are fewer: `out * k^3 / 3`
operations for k of them a row (`engine.pruning.batched_solve`), beside one product for the inverse Hessian.
On two cores at 50 % a [768, 768] layer takes half a second and a [768, 3072] layer 13 (8 at 60 %). It starts
from the dense weights and solves once: block by block with one inverse Hessian would revive weights that are
gone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, Update, Updated
from engine.pruning.batched_solve import solve
from engine.pruning.hessian import DAMPING_LADDER, damped
from engine.pruning.statistics import Need, Statistics


def mrp(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """The best weights `[out, in]`, float32, under a mask that is decided on the dense weights (APT, arXiv
    2410.15567).

    Columns that the text never activates are coupled to no other: what is kept there stays as it was.

    Raises:
        NumericsError: a row's system is not positive definite whatever the damping.
    """
    keep = source.keep(slice(None), weight)
    if keep.all():
        return Updated(weight.clone(), keep)
    factor = statistics.factor
    updated, failed = joint_update(weight, keep, damped(statistics.hessian, factor.damping), factor.upper)
    if not failed.any():
        return Updated(updated, keep, factor.warnings)
    updated[failed], damping = solve_slowly(weight[failed], keep[failed], statistics.hessian, factor.damping)
    slow = f"{int(failed.sum())} of {len(weight)} rows were solved again in float64, with a damping of {damping:g}"
    return Updated(updated, keep, (*factor.warnings, slow))


def joint_update(
    weight: Tensor, keep: Tensor, hessian: Tensor, upper: Tensor | None = None, most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Least squares of the dense output on the kept inputs, in the dtype of the arguments.

    With `B = H^-1` and P removed, K kept: `w - w_P (B_PP)^-1 B_P:`, which is `w_K + (H_KK)^-1 H_KP w_P` on K
    and 0 on P.

    Args:
        weight: dense, `[out, in]`.
        keep: `[out, in]` bool.
        hessian: H, `[in, in]`.
        upper: U with `H^-1 = U^T U`, `[in, in]`; without it every row is solved over what it keeps, for which
            `H_KK` alone has to be regular.
        most: bytes that temporaries may take; half of what is free where it is None.

    Returns:
        The new weight `[out, in]`, 0 where removed, and which rows' systems were not positive definite,
        `[out]` bool.
    """
    updated, failed = weight.clone(), torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    by_removed = 2 * keep.sum(1) >= keep.shape[1] if upper is not None else failed
    if upper is not None and (rows := by_removed).any():
        inverse = upper.T @ upper
        force, failed[rows] = solve(inverse, ~keep[rows], weight[rows] * ~keep[rows], most)
        updated[rows] -= force @ inverse
    if (rows := ~by_removed).any():
        change, failed[rows] = solve(hessian, keep[rows], (weight[rows] * ~keep[rows]) @ hessian, most)
        updated[rows] += change
    return updated.masked_fill_(~keep, 0), failed


def solve_slowly(weight: Tensor, keep: Tensor, hessian: Tensor, damping: float) -> tuple[Tensor, float]:
    """`joint_update` of rows that failed, `[rows, in]` float32: in float64, over what they keep, with more
    damping where that fails too.

    Returns:
        The new weights `[rows, in]` and the damping of them all.

    Raises:
        NumericsError: no damping helps.
    """
    device = torch.device("cpu") if weight.device.type == "mps" else weight.device  # mps has no float64
    wide, stays, matrix = weight.to(device, torch.float64), keep.to(device), hessian.to(device, torch.float64)
    for share in (damping, *(share for share in DAMPING_LADDER if share > damping)):
        updated, failed = joint_update(wide, stays, damped(matrix, share))
        if not failed.any():
            return updated.to(weight), share
    raise NumericsError(
        f"The best weights of {int(failed.sum())} rows cannot be computed even in float64 with damping {DAMPING_LADDER[-1]}: "
        "the weights or calibration inputs hold NaN, infinity or values that overflow. Try another dtype or calibration text."
    )


UPDATES.add(
    Update(
        name="mrp",
        title="Joint update (APT's MRP)",
        explanation="Gives the weights that stay the best values there are: least squares of the dense layer's output, for each neuron on its own.",
        helps="Never worse than another update with the same mask on the calibration text; worth its time from 60 % on.",
        formula=r"\delta w = -\, w_P \left( (H^{-1})_{PP} \right)^{-1} (H^{-1})_{P,:}",
        paper=papers.APT,
        function=mrp,
        needs=frozenset({Need.HESSIAN}),
        operations=lambda rows, columns, sparsity: (
            rows * (min(sparsity, 1 - sparsity) * columns) ** 3 / 3 + 2 * columns**3
        ),
    )
)
