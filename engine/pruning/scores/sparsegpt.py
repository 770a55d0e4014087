"""SparseGPT's saliency: the loss of removing one weight when all later columns may make up for it (optimal
brain surgeon).
"""

from __future__ import annotations

from torch import Tensor

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics


def sparsegpt(weight: Tensor, statistics: Statistics, *, columns: slice = slice(None)) -> Tensor:
    """`W_ij^2 / U_jj^2`, `[out, columns]`, U the upper factor of the damped inverse Hessian (arXiv
    2301.00774, section 3.3).

    Columns that the text never activates score 0: removing them costs nothing.
    """
    factor = statistics.factor
    score = weight.square() / factor.upper.diagonal()[columns].square()
    return score.masked_fill(factor.dead[columns], 0)


SCORES.add(
    Score(
        name="sparsegpt",
        title="SparseGPT saliency",
        explanation="Removes the weights whose loss the weights after them can best make up for, by the inverse Hessian of the layer's input.",
        helps="Together with its update, from 50 % on and for N:M; alone it is no better than Wanda.",
        formula=r"W_{ij}^2 \,/\, U_{jj}^2, \quad H^{-1} = U^\top U",
        paper=papers.SPARSEGPT,
        function=sparsegpt,
        needs=frozenset({Need.HESSIAN}),
        default_group=Group.BLOCK,
        running=True,
    )
)
