"""SparseGPT's saliency: the loss of removing one weight if all later columns compensate for it (optimal brain
surgeon).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


def sparsegpt(weight: Tensor, statistics: Statistics, *, columns: slice = slice(None)) -> Tensor:
    """Return `W_ij^2 / U_jj^2`, `[out, columns]`, U being the upper factor of the damped inverse Hessian
    (arXiv 2301.00774, section 3.3).

    Columns that the text never activates score 0: removing them costs nothing.
    """
    factor = statistics.factor
    # U_jj^2 is the diagonal entry of the inverse over column j and the later ones.
    score = weight.square() / factor.upper.diagonal()[columns].square()
    return score.masked_fill_(factor.dead[columns], 0) if factor.may_have_dead else score


SCORES.add(
    Score(
        name="sparsegpt",
        title="SparseGPT saliency",
        explanation="Uses the inverse Hessian of the layer's input to remove the weights whose loss the "
        "weights after them can best compensate for.",
        helps="Together with its weight update, from 50 % on and for N:M. On its own it is no better than "
        "Wanda.",
        formula=r"W_{ij}^2 \,/\, U_{jj}^2, \quad H^{-1} = U^\top U",
        paper=papers.SPARSEGPT,
        function=sparsegpt,
        needs=frozenset({Need.HESSIAN}),
        default_group=Group.BLOCK,
        running=True,
    )
)
