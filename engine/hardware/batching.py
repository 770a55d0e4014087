"""How much a run holds in memory at a time, and what it gives up when it runs out of memory.

The steps after an out-of-memory error, in this order: smaller batches, down to one window; hidden states on
the host; blocks read from the disk one at a time. None of them changes the result, except for the rounding of
matrix products with other shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

Residence = Literal["resident", "streamed"]
"""Whether all blocks are in memory, or each is read from the disk only while it is in use."""

TOKENS_AT_ONCE = {"cpu": 1024, "mps": 8192, "cuda": 16384}
"""Tokens per batch, by device. On a CPU the activations of a batch should fit into its cache (measured with
`prunescope bench`).
"""
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "std::bad_alloc",
    "bad allocation",
)
"""What torch's plain RuntimeErrors say when the host has no memory left."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a run holds in memory at a time.

    Attributes:
        tokens: tokens per batch.
        residence: where the blocks are.
        offload: whether hidden states are kept on the host between blocks.
    """

    tokens: int
    residence: Residence
    offload: bool = False

    @classmethod
    def for_device(cls, device: torch.device, residence: Residence, *, offload: bool = False) -> MemoryPlan:
        """Return the plan with the fastest batch size for a device."""
        return cls(TOKENS_AT_ONCE[device.type], residence, offload)

    def windows_per_batch(self, length: int) -> int:
        """Return the number of windows of `length` tokens per batch, at least one."""
        return max(1, self.tokens // length)

    def reduced(self, length: int, device: torch.device) -> tuple[MemoryPlan, str] | None:
        """Return a plan that needs less memory, and what changes in words; None if nothing is left to reduce.

        Args:
            length: tokens per window.
        """
        windows = self.windows_per_batch(length)
        if windows > 1:
            smaller = replace(self, tokens=max(length, self.tokens // 4))
            return smaller, f"batches of {smaller.windows_per_batch(length)} instead of {windows} windows"
        if not self.offload and device.type != "cpu":
            return replace(self, offload=True), "the hidden states kept on the host"
        if self.residence == "resident":
            return replace(self, residence="streamed"), "the model read from the disk block by block"
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the host ran out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)
