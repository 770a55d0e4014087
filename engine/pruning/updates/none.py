"""No update: what stays, stays as it was."""

from __future__ import annotations

from torch import Tensor

from engine.pruning.axes import UPDATES, MaskSource, Update, Updated
from engine.pruning.statistics import Statistics


def leave(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """The weight `[out, in]` with zeros where the mask says so."""
    keep = source.keep(slice(None), weight)
    return Updated(weight.masked_fill(~keep, 0), keep)  # a product would leave negative zeros


UPDATES.add(
    Update(
        name="none",
        title="No update",
        explanation="Sets the pruned weights to zero and leaves the others as they were.",
        helps="Costs nothing, and shows what the mask alone is worth.",
        formula=r"W' = M \odot W",
        function=leave,
        touches=None,
    )
)
