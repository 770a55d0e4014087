"""APT's joint update: all kept weights of a row compensate for all removed ones in one optimal step (its
update letter M).

Of all weights with the given mask, these have the smallest error of the layer's output. Each row has its own
linear system, over its removed or its kept weights, whichever are fewer: `out * k^3 / 3` operations for k of
them per row (`engine.pruning.batched_solve`), plus one product for the inverse Hessian. Wide layers are
solved by conjugate gradients where that is cheaper (`engine.pruning.conjugate_gradients`), from about 1,000
columns on at 50 % and 2,000 at 70 %; `python -m engine bench --shape mrp` compares the two. It starts from
the dense weights and solves once: solving block by block with one inverse Hessian would revive removed
weights.

The mask is another matter. With a score that SparseGPT's update can decide on the weights as updated so far,
it is decided so, in one sequential pass whose weights are then discarded: on the bundled model at 2:4 the
perplexity is 45.1 (SM) and 45.3 (MM), and 46.7 and 47.1 with masks from the dense weights, which earlier
versions used (`mask=dense`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError
from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, Update, Updated, can_decide_in_steps
from engine.pruning.batched_solve import solve
from engine.pruning.conjugate_gradients import fit_kept, is_cheaper, operations
from engine.pruning.effort import Effort
from engine.pruning.hessian import DAMPING_LADDER, damped
from engine.pruning.statistics import Need, Statistics
from engine.pruning.updates import obs as sequence
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


NUMBERS = 50
"""Numbers read or written per entry of a row's system, measured on a CPU."""


def mrp(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """Return the optimal weights `[out, in]`, float32, for a mask that was decided before, or that
    SparseGPT's update decides step by step (APT, arXiv 2410.15567).

    Columns that the text never activates are not coupled to others, so kept weights there do not change.

    Raises:
        NumericsError: the system of a row is not positive definite with any damping.
    """
    sequential = source.step is not None
    keep = sequence.obs(weight, statistics, source).keep if sequential else source.keep(slice(None), weight)
    # Without a removed weight there is nothing to compensate: the update would be the dense weight, but cost
    # a factorisation. An accelerator is not asked, because it would have to finish first.
    if keep.device.type == "cpu" and keep.all():
        return Updated(weight.clone(), keep)
    factor = statistics.factor
    updated, failed = joint_update(weight, keep, damped(statistics.hessian, factor.damping), factor.upper)
    if not failed.any():
        return Updated(updated, keep, factor.warnings)
    updated[failed], damping = solve_in_float64(
        weight[failed], keep[failed], statistics.hessian, factor.damping
    )
    count = int(failed.sum())
    slow = f"{count} of {len(weight)} rows were solved again in float64, with a damping of {damping:g}"
    return Updated(updated, keep, (*factor.warnings, slow))


def joint_update(
    weight: Tensor, keep: Tensor, hessian: Tensor, upper: Tensor | None = None, most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Fit the dense output by least squares on the kept inputs, in the dtype of the arguments.

    With `B = H^-1`, P removed and K kept: `w - w_P (B_PP)^-1 B_P:`, which is `w_K + (H_KK)^-1 H_KP w_P` on K
    and 0 on P.

    Args:
        weight: dense, `[out, in]`.
        keep: `[out, in]` bool.
        hessian: H, `[in, in]`.
        upper: U with `H^-1 = U^T U`, `[in, in]`; without it every row is solved over its kept weights, which
            only requires `H_KK` to be regular.
        most: bytes that temporaries may take; None for half of the free memory.

    Returns:
        The new weight `[out, in]`, 0 where removed, and the rows whose systems were not positive definite,
        `[out]` bool.
    """
    # In one transfer from an accelerator: the shapes of what follows depend on it.
    kept, columns = keep.sum(1).tolist(), keep.shape[1]
    if upper is not None and is_cheaper([min(count, columns - count) for count in kept], columns):
        updated, failed = fit_kept(weight, keep, hessian, upper.T @ upper)
        if failed.any():
            left = failed.nonzero()[:, 0]
            updated[left], failed[left] = by_factorisations(weight[left], keep[left], hessian, upper, most)
        return updated, failed
    return by_factorisations(weight, keep, hessian, upper, most, kept)


def by_factorisations(
    weight: Tensor,
    keep: Tensor,
    hessian: Tensor,
    upper: Tensor | None,
    most: int | None = None,
    kept: list[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `joint_update` with one factorisation for each row; `kept` counts the kept weights of each row,
    if that is known.
    """
    updated, failed = weight.clone(), torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    counts = keep.sum(1).tolist() if kept is None else kept
    # The smaller system is the cheaper one.
    smaller = [upper is None or 2 * count < keep.shape[1] for count in counts]

    def rows_with(by_kept: bool) -> Tensor:
        rows = torch.tensor([row for row, each in enumerate(smaller) if each is by_kept], dtype=torch.long)
        return rows.to(weight.device, non_blocking=True)

    if upper is not None and len(rows := rows_with(False)):
        inverse = upper.T @ upper  # B, [in, in]
        # force = w_P (B_PP)^-1, [rows, in], zero outside P
        force, failed[rows] = solve(inverse, ~keep[rows], weight[rows] * ~keep[rows], most)
        updated[rows] -= force @ inverse
    if len(rows := rows_with(True)):
        # (H_KK)^-1 H_KP w_P, [rows, in], zero outside K
        change, failed[rows] = solve(hessian, keep[rows], (weight[rows] * ~keep[rows]) @ hessian, most)
        updated[rows] += change
    # The products leave removed entries at 0 only up to rounding; callers rely on exact zeros.
    return updated.masked_fill_(~keep, 0), failed


def solve_in_float64(weight: Tensor, keep: Tensor, hessian: Tensor, damping: float) -> tuple[Tensor, float]:
    """Repeat `joint_update` for rows that failed, `[rows, in]` float32: in float64, over their kept weights,
    with more damping if that fails too.

    Returns:
        The new weights `[rows, in]` and the damping that was used for all of them.

    Raises:
        NonFiniteError: no damping helps.
    """
    device = torch.device("cpu") if weight.device.type == "mps" else weight.device  # mps has no float64
    wide, stays, matrix = weight.to(device, torch.float64), keep.to(device), hessian.to(device, torch.float64)
    for share in (damping, *(share for share in DAMPING_LADDER if share > damping)):
        updated, failed = joint_update(wide, stays, damped(matrix, share))
        if not failed.any():
            return updated.to(weight), share
    raise NonFiniteError(
        f"The joint update of {int(failed.sum())} rows failed even in float64 with damping "
        f"{DAMPING_LADDER[-1]}, because the weights or the calibration inputs are not finite or too large."
    )


def _unknowns(columns: int, sparsity: float) -> float:
    """Return the size of a row's system: its removed or its kept weights, whichever are fewer."""
    return min(sparsity, 1 - sparsity) * columns


def _effort(rows: int, columns: int, sparsity: float) -> Effort:
    """Return what the solution computes for a linear, not counting the statistics."""
    unknowns = _unknowns(columns, sparsity)
    if is_cheaper([unknowns], columns):
        return Effort(operations(rows, columns) + 2 * columns**3)
    return Effort(
        # One Cholesky factorisation per row, k^3 / 3 for k removed or kept weights, and U^T U.
        operations=rows * unknowns**3 / 3 + 2 * columns**3,
        # Each row gathers its own k x k system.
        numbers=NUMBERS * rows * unknowns**2,
    )


UPDATES.add(
    Update(
        name="mrp",
        title="Joint update (APT's MRP)",
        explanation="Gives the kept weights their optimal values: a least-squares fit of the dense layer's "
        "output, separately for each neuron.",
        helps="On the calibration text never worse than another update with the same mask. Worth its time "
        "from 60 % on.",
        formula=r"\delta w = -\, w_P \left( (H^{-1})_{PP} \right)^{-1} (H^{-1})_{P,:}",
        paper=papers.APT,
        parameters=(
            Parameter(
                name="mask",
                kind="choice",
                default="sequential",
                choices=("sequential", "dense"),
                explanation="how SparseGPT's and the joint score choose the weights to remove: in "
                "SparseGPT's sequence, on weights as updated so far, or all on the dense weights; without "
                "effect for other scores, groups of rows or layers, permuted columns, and refined masks",
                for_plan=True,
                before="dense",
                applies=can_decide_in_steps,
            ),
        ),
        function=mrp,
        needs=frozenset({Need.HESSIAN}),
        running=lambda parameters: bool(parameters["mask"] == "sequential"),
        decides_as="obs",
        # The mask's sequential pass is counted for every score, although some do without it.
        effort=lambda rows, columns, sparsity: (
            sequence.effort(rows, columns, sparsity) + _effort(rows, columns, sparsity)
        ),
    )
)
