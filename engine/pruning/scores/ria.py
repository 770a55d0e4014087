"""Relative importance (RI), and with activations (RIA): a weight's share of its row plus its share of its
column.

No row or column loses all of its weights, which can happen with plain magnitudes. Costs one pass over the
weight; RIA also needs Wanda's statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


ALPHA = Parameter(
    name="alpha",
    kind="float",
    default=0.5,
    minimum=0.0,
    maximum=2.0,
    explanation="exponent of the activation norm",
)


def relative_importance(weight: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Return `|W_ij| / columns_j + |W_ij| / rows_i`, `[out, in]`, for sums (or norms) `[in]` and `[out]`; a
    sum of 0 gives 0.
    """
    size = weight.abs()
    # `where` replaces the NaN of 0 / 0, which a column or row of zeros yields.
    return (size / columns).where(columns > 0, 0) + (size / rows[:, None]).where(rows[:, None] > 0, 0)


def ri(weight: Tensor, statistics: Statistics) -> Tensor:
    """Return `|W_ij| / sum_i |W_ij| + |W_ij| / sum_j |W_ij|`, `[out, in]` (Zhang et al., ICLR 2024, section
    3.1).
    """
    size = weight.abs()
    return relative_importance(weight, size.sum(0), size.sum(1))


def ria(weight: Tensor, statistics: Statistics, *, alpha: float) -> Tensor:
    """Return `RI_ij * a_j^alpha`, `[out, in]`, with the activation norms a, `[in]` (Zhang et al., ICLR 2024,
    equation 3).
    """
    return ri(weight, statistics) * statistics.input_norm.pow(alpha)


SCORES.add(
    Score(
        name="ri",
        title="Relative importance",
        explanation="Rates each weight by its share of its row and of its column, so that no neuron loses "
        "all of its inputs or outputs.",
        helps="If magnitudes differ a lot between channels and there is no calibration text.",
        formula=r"\frac{|W_{ij}|}{\sum_{i'} |W_{i'j}|} + \frac{|W_{ij}|}{\sum_{j'} |W_{ij'}|}",
        paper=papers.RIA,
        function=ri,
        default_group=Group.LAYER,
    )
)
SCORES.add(
    Score(
        name="ria",
        title="RIA",
        explanation="Relative importance times the square root of the activation norm: a weight's share of "
        "its row and column, scaled by how active its input is.",
        helps="Slightly better than Wanda in most published comparisons, and the score that the channel "
        "permutation for N:M was designed for.",
        formula=r"\left( \frac{|W_{ij}|}{\sum_{i'} |W_{i'j}|} + \frac{|W_{ij}|}{\sum_{j'} |W_{ij'}|} "
        r"\right) \lVert X_{:j} \rVert_2^{\alpha}",
        paper=papers.RIA,
        parameters=(ALPHA,),
        function=ria,
        needs=frozenset({Need.INPUT_NORM}),
        default_group=Group.LAYER,
    )
)
