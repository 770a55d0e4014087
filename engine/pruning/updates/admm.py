"""ADMM: the kept weights approach their optimum in a few products with one inverse, while the mask is chosen.

The layer's least squares with zeros on the removed weights is solved by the alternating direction method of
multipliers. The inputs are scaled to norm 1 before, so that one penalty suits every layer and the magnitude
of a scaled weight is its Wanda score. Cost: one inverse and `iterations` products of `out * in^2`
multiply-adds, whatever the mask; in the iterations that choose the mask also its score. With a fixed mask
the weights converge to APT's joint update for the same damping, of which 20 iterations are usually close.

The mask is chosen in the loop, as the paper's gradual pruning does, by the score that the recipe names: with
Wanda's it is the published method. The published code computes the cubic schedule, but uses it for N:M only;
in an unstructured pattern it removes the full share in each iteration that chooses (`schedule=full`).

Measured at 60 %, as perplexity: on the bundled model 43.6 (43.9 if weights compete within rows), where
SparseGPT has 53.0 and APT-SM 47.6; on SmolLM2-135M, calibrated on 8 windows of WikiText-2, 89.5 where
SparseGPT has 123.0. The updates of its 106 million weights take 60 seconds of one core, those of APT-SM 350.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, RepeatedMask, Update, Updated
from engine.pruning.effort import Effort
from engine.pruning.hessian import invert_upper
from engine.pruning.patterns import Group
from engine.pruning.scaled_layer import ScaledLayer
from engine.pruning.statistics import Need, Statistics
from engine.pruning.weights import masked
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


ITERATIONS, CHOOSING = 20, 15
"""The published numbers of iterations, and of those that choose the mask."""
NUMBERS, NUMBERS_CHOOSING = 10, 40
"""Numbers read or written per weight in each iteration besides the product, and in addition by the score and
the mask of one that chooses, measured on a CPU.
"""


def admm(
    weight: Tensor,
    statistics: Statistics,
    source: MaskSource,
    *,
    iterations: int,
    steps: int,
    schedule: str,
    penalty: float,
    damping: float,
) -> Updated:
    """Return weights near the optimum, `[out, in]` float32, and the mask (arXiv 2401.02938, algorithm 2).

    Args:
        source: a `RepeatedMask` to choose the mask in the loop.
        iterations: how often the weights are updated.
        steps: the iterations that choose the mask; the rest keep it.
        schedule: `cubic`, or `full` to remove the full share in each of them.
        penalty: rho.
        damping: what is added to the diagonal of the scaled Hessian, which is 1.

    Raises:
        NumericsError: the Hessian is not finite, or not positive definite with this damping and penalty.
    """
    layer = ScaledLayer(weight, statistics.hessian, damping)
    root, scale = invert_upper(layer.root(penalty).T), layer.scale
    inverse = root @ root.T  # (H + rho)^-1
    pull = layer.target @ inverse  # towards the dense output
    current = layer.weight  # W + U: the scaled weights plus the dual, [out, in]
    steps = min(steps, iterations)
    for iteration in range(iterations):
        if iteration == 0 or (iteration < steps and isinstance(source, RepeatedMask)):
            keep = _keep(source, current / scale, share(iteration + 1, steps, schedule))
            sign = keep.to(weight.dtype).mul_(2).sub_(1)  # -1 where removed
        # Z is W + U on the mask, and the new U the rest of it, so Z - U is W + U with the sign changed off
        # the mask.
        pushed = current * sign
        # W = (H + rho)^-1 (H W_0 + rho (Z - U)), to which U is added
        updated = torch.addmm(pull, pushed, inverse, alpha=penalty)
        current = updated.add_(current, alpha=0.5).sub_(pushed, alpha=0.5)
    # Nothing is rounded where nothing is removed.
    whole = keep.all(dim=1, keepdim=True)
    return Updated(weight.where(whole, masked(current / scale, keep)), keep)


def _keep(source: MaskSource, weight: Tensor, part: float) -> Tensor:
    if isinstance(source, RepeatedMask):
        return source.gradual(weight, part)
    return source.keep(slice(None), weight)


def share(step: int, steps: int, schedule: str) -> float:
    """Return which share of the sparsity the mask of a step has, from 1 to `steps`; 1 in the last."""
    return 1.0 if schedule == "full" else 1 - (1 - step / steps) ** 3


def effort(rows: int, columns: int, sparsity: float) -> Effort:
    """Return what the published number of iterations computes for a linear, not counting the statistics."""
    return Effort(
        operations=2 * (ITERATIONS + 2) * rows * columns**2 + 2 * columns**3,
        numbers=(NUMBERS * ITERATIONS + NUMBERS_CHOOSING * CHOOSING) * rows * columns,
        steps=10 * ITERATIONS,
    )


UPDATES.add(
    Update(
        name="admm",
        title="ADMM",
        explanation="Moves the kept weights towards their optimal values in a few iterations, and chooses "
        "the mask on the way, gradually.",
        helps="Near the joint update's values at a cost that does not depend on the mask, and a mask that "
        "knows about the compensation.",
        formula=r"W \leftarrow (H + \rho I)^{-1} \left( H W_0 + \rho (Z - U) \right), \quad "
        r"Z = M \odot (W + U), \quad U \leftarrow U + W - Z",
        paper=papers.ADMM,
        parameters=(
            Parameter(
                name="iterations",
                kind="int",
                default=ITERATIONS,
                minimum=1,
                maximum=1000,
                explanation="updates of the weights",
            ),
            Parameter(
                name="steps",
                kind="int",
                default=CHOOSING,
                minimum=1,
                maximum=1000,
                explanation="iterations, from the first, that choose the mask on the weights as updated so "
                "far; 1 chooses it once, on the dense weights. Joint scores, permuted columns and refined "
                "masks are always chosen once",
            ),
            Parameter(
                name="schedule",
                kind="choice",
                default="cubic",
                choices=("cubic", "full"),
                explanation="how the sparsity grows over these iterations: as the paper has it, or the full "
                "sparsity from the first, as its code does without N:M",
            ),
            Parameter(
                name="penalty",
                kind="float",
                default=1.0,
                minimum=0.001,
                maximum=1000.0,
                explanation="rho, relative to the scaled Hessian's diagonal of 1",
            ),
            Parameter(
                name="damping",
                kind="float",
                default=0.1,
                minimum=0.0,
                maximum=10.0,
                explanation="added to the diagonal of the scaled Hessian",
            ),
        ),
        function=admm,
        needs=frozenset({Need.HESSIAN}),
        group=Group.LAYER,
        repeated=lambda parameters: bool(parameters["steps"] > 1),
        effort=effort,
        memory=16,
    )
)
