"""STADE: weight magnitude times the standard deviation of its input. Costs one more read of the activations.

A weight whose input never changes adds a constant to the output, which a bias can replace, so only the spread
of the input counts. Without such a bias the constant is lost, and Wanda's norm, which contains the mean, is
the better scale. The authors' code ranks by the square (`W^2 * var`), which is the same order; here there are
no squares that could underflow. Their variant STADE-W, which takes Wanda's norm in the linears that follow a
normalisation, is not offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


def stade(weight: Tensor, statistics: Statistics) -> Tensor:
    """Return `|W_ij| * sigma_j`, `[out, in]`, with the standard deviations sigma of the inputs over all
    tokens, `[in]` (Mecke et al., arXiv 2503.22451).
    """
    return weight.abs().mul_(statistics.input_deviation)


SCORES.add(
    Score(
        name="stade",
        title="STADE",
        explanation="Multiplies each weight's magnitude by the standard deviation of its input on the "
        "calibration text: an input that never changes carries no information, however large it is.",
        helps="If a bias takes over what the removed weights contributed on average, as in the published "
        "method. Without that, Wanda's norm is the safer choice.",
        formula=r"|W_{ij}| \cdot \sigma(X_{:j})",
        paper=papers.STADE,
        sources="The paper's derivation could not be read; the formula is that of the authors' code.",
        function=stade,
        needs=frozenset({Need.INPUT_DEVIATION}),
        default_group=Group.ROW,
    )
)
