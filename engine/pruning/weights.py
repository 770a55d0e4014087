"""What is stored of a pruned block: the mask of each linear, and its new weight and bias if they changed.

A run folder stores this block by block. A pruned model is the dense model with these applied, so resuming,
generating, exporting and saving masks all read the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.block import Block


@dataclass(frozen=True)
class PrunedLinear:
    """One pruned linear.

    Attributes:
        keep: the mask `[out, in]`, True = kept.
        weight: the new weight `[out, in]` in the model's dtype; None if kept weights are unchanged.
        bias: the new bias `[out]` in the model's dtype; None if there is none or it is unchanged.
    """

    keep: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None


def integers_like(tensor: Tensor) -> torch.dtype:
    """Return the dtype of integers that take as many bytes as the entries of a tensor."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return integers[tensor.element_size()]


def masked(weight: Tensor, keep: Tensor) -> Tensor:
    """Return `weight` with 0 where `keep` is False, of the same shape.

    Works on the bits: a CPU does that at the speed of a copy, whereas `masked_fill` and `where` take seven
    times as long on a random mask. Multiplying would leave negative zeros.
    """
    integer = integers_like(weight)
    every_bit = keep.view(torch.int8).neg().to(integer)  # where kept
    return every_bit.bitwise_and_(weight.detach().view(integer)).view(weight.dtype)


BlockWeights = dict[str, PrunedLinear]
"""Keyed by the linear's name inside the block."""


def restore(block: Block, weights: BlockWeights) -> None:
    """Put a pruned block's weights into the dense block."""
    for name, pruned in weights.items():
        linear = block.linears[name]
        if pruned.weight is not None:
            linear.write(pruned.weight)
        else:
            linear.write(masked(linear.weight, pruned.keep.to(linear.weight.device)))
        if pruned.bias is not None:
            linear.write_bias(pruned.bias)
