"""Wanda: weight magnitude times input activation norm. Costs one forward pass for the statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Invariance, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


def wanda(weight: Tensor, statistics: Statistics) -> Tensor:
    """Return `|W_ij| * a_j`, `[out, in]`, with the activation norms a, `[in]` (Sun et al., arXiv 2306.11695,
    equation 1).
    """
    return weight.abs().mul_(statistics.input_norm)


SCORES.add(
    Score(
        name="wanda",
        title="Wanda",
        explanation="Multiplies each weight's magnitude by the norm of its input on the calibration text, "
        "and compares within each output neuron.",
        helps="Nearly free, and good at 50 %. From 60 % on, methods that update weights or allocate "
        "sparsity unevenly are better.",
        formula=r"|W_{ij}| \cdot \lVert X_{:j} \rVert_2",
        paper=papers.WANDA,
        function=wanda,
        needs=frozenset({Need.INPUT_NORM}),
        invariances=frozenset(Invariance),
        default_group=Group.ROW,
    )
)
