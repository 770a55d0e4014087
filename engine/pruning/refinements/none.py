"""No refinement: the mask stays as the score decided it."""

from __future__ import annotations

from torch import Tensor

from engine.pruning.axes import REFINEMENTS, Refined, Refinement
from engine.pruning.statistics import Statistics


def unrefined(keep: Tensor, weight: Tensor, statistics: Statistics, *, group: int | None) -> Refined:
    """The mask `[out, in]` as it is."""
    return Refined(keep)


REFINEMENTS.add(
    Refinement(
        name="none",
        title="No refinement",
        explanation="The mask stays as the score decided it.",
        helps="The plain case: nothing is swapped.",
        formula=r"M' = M",
        function=unrefined,
        touches=None,
    )
)
