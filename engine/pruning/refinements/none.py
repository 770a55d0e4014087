"""No refinement: the mask that the score decided is used as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning.axes import REFINEMENTS, Refined, Refinement
from engine.pruning.statistics import Statistics

if TYPE_CHECKING:
    from torch import Tensor


def unrefined(keep: Tensor, weight: Tensor, statistics: Statistics, *, group: int | None) -> Refined:
    """Return the mask `[out, in]` unchanged."""
    return Refined(keep)


REFINEMENTS.add(
    Refinement(
        name="none",
        title="No refinement",
        explanation="Uses the mask as the score decided it.",
        helps="The default: nothing is swapped.",
        formula=r"M' = M",
        function=unrefined,
        touches=None,
    )
)
