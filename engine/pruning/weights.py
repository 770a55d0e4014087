"""What is stored of a pruned block: the mask of each linear, and its new weight if the update changed it.

A run folder stores this block by block. A pruned model is the dense model with these applied, so resuming,
generating, exporting and saving masks all read the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from engine.models.block import Block


@dataclass(frozen=True)
class PrunedLinear:
    """One pruned linear.

    Attributes:
        keep: the mask `[out, in]`, True = kept.
        weight: the new weight `[out, in]` in the model's dtype; None if kept weights are unchanged.
    """

    keep: Tensor
    weight: Tensor | None = None


BlockWeights = dict[str, PrunedLinear]
"""Keyed by the linear's name inside the block."""


def restore(block: Block, weights: BlockWeights) -> None:
    """Put a pruned block's weights into the dense block."""
    for name, pruned in weights.items():
        linear = block.linears[name]
        if pruned.weight is not None:
            linear.write(pruned.weight)
        else:
            # multiplying by the mask would leave negative zeros
            linear.write(linear.weight.masked_fill(~pruned.keep.to(linear.weight.device), 0))
