"""Magnitude: remove the weights closest to zero. Uses no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Invariance, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Statistics

if TYPE_CHECKING:
    from torch import Tensor


def magnitude(weight: Tensor, statistics: Statistics) -> Tensor:
    """Return `|W_ij|`, `[out, in]`."""
    return weight.abs()


SCORES.add(
    Score(
        name="magnitude",
        title="Magnitude",
        explanation="Removes the weights closest to zero, without any calibration text.",
        helps="The baseline of every paper. Fine at low sparsity, and it needs no calibration text. In a "
        "model that was quantised once, many magnitudes are equal: of those at the cut the lower positions "
        "are removed first, until the count is exact, whereas the published code removes all of them.",
        formula=r"|W_{ij}|",
        paper=papers.MAGNITUDE,
        function=magnitude,
        invariances=frozenset(Invariance),
        default_group=Group.LAYER,
    )
)
