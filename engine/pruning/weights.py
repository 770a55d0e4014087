"""What is stored of a pruned block: the mask of each linear, and its new weight if the update changed it.

A run folder stores this block by block. A pruned model is the dense model with these applied, so resuming,
generating, exporting and saving masks all read the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
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


def pack(weights: BlockWeights) -> dict[str, Tensor]:
    """Return flat tensors for a safetensors file: per linear the mask, eight entries per byte with the lowest
    bit first, its shape, and the new weight if there is one.
    """
    tensors: dict[str, Tensor] = {}
    for name, pruned in weights.items():
        tensors[f"{name}.mask"] = _pack_bits(pruned.keep.cpu())
        tensors[f"{name}.shape"] = torch.tensor(pruned.keep.shape)
        if pruned.weight is not None:
            tensors[f"{name}.weight"] = pruned.weight.cpu().contiguous()
    return tensors


def unpack(tensors: dict[str, Tensor]) -> BlockWeights:
    """Invert `pack`; the tensors are on the CPU."""
    names = [key.removesuffix(".mask") for key in tensors if key.endswith(".mask")]
    return {name: PrunedLinear(_unpack_bits(tensors, name), tensors.get(f"{name}.weight")) for name in names}


def _pack_bits(mask: Tensor) -> Tensor:
    bits = mask.reshape(-1).to(torch.uint8)  # [out * in]
    padded = torch.nn.functional.pad(bits, (0, -len(bits) % 8)).view(-1, 8)  # [bytes, 8]
    return (padded << torch.arange(8, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def _unpack_bits(tensors: dict[str, Tensor], name: str) -> Tensor:
    rows, columns = tensors[f"{name}.shape"].tolist()
    bits = (tensors[f"{name}.mask"][:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    return bits.reshape(-1)[: rows * columns].view(rows, columns).bool()
