"""Wanda: a weight counts as much as the signal it carries. One forward pass of statistics, no weight update."""

from __future__ import annotations

from torch import Tensor

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics


def wanda(weight: Tensor, statistics: Statistics) -> Tensor:
    """`|W_ij| * a_j`, `[out, in]`, with the activation norms a, `[in]` (Sun et al., arXiv 2306.11695,
    equation 1).
    """
    return weight.abs() * statistics.input_norm


SCORES.add(
    Score(
        name="wanda",
        title="Wanda",
        explanation="Weighs each weight by how strongly the text activates its input, and compares within each output neuron.",
        helps="Nearly free and good at 50 %; from 60 % on it loses to methods that update weights or share out the sparsity.",
        formula=r"|W_{ij}| \cdot \lVert X_{:j} \rVert_2",
        paper=papers.WANDA,
        function=wanda,
        needs=frozenset({Need.INPUT_NORM}),
        default_group=Group.ROW,
    )
)
