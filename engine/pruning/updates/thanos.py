"""Thanos: SparseGPT's sweep over the columns, but a block of them is removed at once, in one optimal step.

The weights that a row loses in a block are removed together, and all columns from the block on compensate for
them. With blocks of one column that is SparseGPT's update, with a block as wide as the layer APT's joint
update. The mask of a block is the lowest scores among all columns that are left, on the weights as updated so
far, so that sparsity moves between blocks; the paper scores as Wanda does. Cost: `out * in^2 / 2`
multiply-adds as SparseGPT, a system per row and block over its removed or its kept weights, whichever are
fewer, and a score and mask of the whole weight per block.

Measured at 60 %, as perplexity: on the bundled model 47.2, where SparseGPT has 53.0 and APT-SM 47.6; on
SmolLM2-135M, calibrated on 8 windows of WikiText-2, 118.8 where SparseGPT has 123.0 and ADMM 89.5. The
updates of its 106 million weights take 120 seconds of one core.

Left out: structured removal of whole columns, and the rows of outliers that it exempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, RepeatedMask, Update, Updated
from engine.pruning.effort import Effort
from engine.pruning.hessian import invert_upper
from engine.pruning.patterns import BLOCK_WIDTH, Group
from engine.pruning.statistics import Need, Statistics
from engine.pruning.updates.mrp import joint_update, solve_in_float64
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


NUMBERS, NUMBERS_SOLVING = 60, 50
"""Numbers read or written per weight and block by the score and the mask, and per entry of a row's system,
measured on a CPU.
"""


def thanos(weight: Tensor, statistics: Statistics, source: MaskSource, *, block: int) -> Updated:
    """Prune and update a weight `[out, in]`, float32, block by block (arXiv 2504.05346, algorithm 1).

    Args:
        source: a `RepeatedMask` to decide each block on what is left to remove.
        block: columns that are removed together.

    Raises:
        NonFiniteError: the system of a row has no solution, even in float64.
    """
    factor = statistics.factor
    running = weight.masked_fill(factor.dead, 0)
    keep = torch.ones_like(running, dtype=torch.bool)
    for start in range(0, weight.shape[1], block):
        columns = slice(start, start + block)
        keep[:, columns] = _decided(source, running, keep, columns)
        upper = factor.upper[columns, start:]
        errors, running[:, columns] = _remove(running[:, columns], keep[:, columns], upper[:, : len(upper)])
        running[:, columns.stop :].addmm_(errors, upper[:, block:], alpha=-1)
    # If nothing is removed, nothing may change, not even columns that are never activated.
    return Updated(weight.where(keep.all(), running), keep, factor.warnings)


def _decided(source: MaskSource, running: Tensor, keep: Tensor, columns: slice) -> Tensor:
    """Return the mask of a block of columns, `[out, block]`."""
    if isinstance(source, RepeatedMask):
        return source.remaining(running, keep, columns.start)[:, columns]
    return source.keep(columns, running[:, columns])


def _remove(weight: Tensor, keep: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Remove what a block of columns loses, in one optimal step.

    Args:
        weight: of the block as updated so far, `[out, block]`.
        keep: its mask, `[out, block]` bool.
        upper: U of the block, `[block, block]`. `(U^T U)^-1` is the Hessian of the block if all later columns
            compensate.

    Returns:
        `(w - w') U^-1`, `[out, block]`, which later columns subtract times their U, and the new weight w'.
    """
    root = invert_upper(upper)
    hessian = root @ root.T
    new, failed = joint_update(weight, keep, hessian, upper)
    if failed.any():
        new[failed], _ = solve_in_float64(weight[failed], keep[failed], hessian, 0.0)
    return (weight - new) @ root, new


def effort(rows: int, columns: int, sparsity: float) -> Effort:
    """Return what the default blocks compute for a linear, not counting the statistics."""
    blocks = -(-columns // BLOCK_WIDTH)
    unknowns = min(sparsity, 1 - sparsity) * min(columns, BLOCK_WIDTH)
    return Effort(
        operations=rows * columns**2 + blocks * rows * unknowns**3 / 3,
        numbers=blocks * rows * (NUMBERS * columns + NUMBERS_SOLVING * unknowns**2),
        steps=20 * blocks,
    )


UPDATES.add(
    Update(
        name="thanos",
        title="Thanos",
        explanation="Goes through the columns in blocks. All weights that a row loses in a block are removed "
        "in one optimal step, for which the columns from there on compensate.",
        helps="Between SparseGPT's update and the joint one, in quality and in time. Whole columns and "
        "outlier rows, which the paper also has, are not offered.",
        formula=r"\delta w_{j:} = -\, w_P \left( B_{PP} \right)^{-1} B_{P,:}, \quad "
        r"B = \left( H_{j:,j:} \right)^{-1}",
        paper=papers.THANOS,
        sources="The paper could be read in part only. Where it could not, the authors' early code is "
        "followed, which was read in full.",
        parameters=(
            Parameter(
                name="block",
                kind="int",
                default=BLOCK_WIDTH,
                minimum=1,
                maximum=100_000,
                explanation="columns whose weights are removed together: 1 is SparseGPT's update, the width "
                "of the layer the joint one. Its code has used 128 and 256",
            ),
            Parameter(
                name="mask",
                kind="choice",
                default="remaining",
                choices=("remaining", "dense"),
                explanation="whether each block is decided by the scores of all columns that are left, as "
                "updated so far, or the whole mask on the dense weights. Joint scores, permuted columns and "
                "refined masks are always decided on the dense weights",
                for_plan=True,
            ),
        ),
        function=thanos,
        needs=frozenset({Need.HESSIAN}),
        repeated=lambda parameters: bool(parameters["mask"] == "remaining"),
        group=Group.LAYER,
        effort=effort,
        memory=8,
    )
)
