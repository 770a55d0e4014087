"""No update: kept weights are unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning.axes import UPDATES, MaskSource, Update, Updated
from engine.pruning.statistics import Statistics
from engine.pruning.weights import masked

if TYPE_CHECKING:
    from torch import Tensor


def leave(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """Return the weight `[out, in]` with zeros where it is pruned."""
    keep = source.keep(slice(None), weight)
    return Updated(masked(weight, keep), keep)


UPDATES.add(
    Update(
        name="none",
        title="No update",
        explanation="Sets the pruned weights to zero and leaves the others unchanged.",
        helps="Costs nothing, and shows how good the mask alone is.",
        formula=r"W' = M \odot W",
        function=leave,
        touches=None,
    )
)
