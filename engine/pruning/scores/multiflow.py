"""MultiFlow: a weight's magnitude times the signal flow through the two neurons that it connects.

This is the variant of NeuroAL's experiments, in which weights compete within a row. The original first gives
each linear a budget, the part of it that a global threshold on magnitudes would remove, and then compares
within the whole linear: `--allocation global-magnitude --group layer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


def multiflow(weight: Tensor, statistics: Statistics) -> Tensor:
    """Return `|W_ij| * mean_j(S)_i * mean_i(S)_j`, `[out, in]`, with `S_ij = |W_ij| a_j` (Farina et al.,
    arXiv 2404.05621, section 4).
    """
    size = weight.abs()
    flow = size * statistics.input_norm  # S, [out, in]
    # Mean flow into each output neuron, [out, 1], and out of each input neuron, [in].
    return size * flow.mean(1)[:, None] * flow.mean(0)


SCORES.add(
    Score(
        name="multiflow",
        title="MultiFlow",
        explanation="Multiplies each weight's magnitude by how much signal flows through the two neurons "
        "that it connects.",
        helps="Designed for vision-language models. Compared within rows, as in NeuroAL's experiments, it is "
        "close to Wanda on text, and worse if a few inputs are very strong. The original compares within "
        "whole linears, each with a budget from global magnitudes (an allocation here).",
        formula=r"|W_{ij}| \cdot \frac{1}{n}\sum_{j'} S_{ij'} \cdot \frac{1}{m}\sum_{i'} S_{i'j}, \quad "
        r"S_{ij} = |W_{ij}| \lVert X_{:j} \rVert_2",
        paper=papers.MULTIFLOW,
        function=multiflow,
        numbers=35,  # measured on a CPU
        needs=frozenset({Need.INPUT_NORM}),
        default_group=Group.ROW,
    )
)
