"""What a run holds in memory at a time, and what it gives up when memory runs out.

In this order: batch size, down to one window; hidden states on the accelerator, which move to the host; the
whole model in memory, whose blocks are then read from the disk one at a time. None of these changes the
result, except for the rounding of matrix products with other shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
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
    "failed to map segment",
)
"""What torch's plain RuntimeErrors, and libraries that are loaded, say when the host has no memory left."""


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
        if not self.offload and device.type != "cpu":  # on a CPU they are on the host anyway
            return replace(self, offload=True), "the hidden states kept on the host"
        if self.residence == "resident":
            return replace(self, residence="streamed"), "the model read from the disk block by block"
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the host ran out of memory."""
    import torch

    # An accelerator's allocator has its own class; the host's raises a plain RuntimeError.
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, (RuntimeError, ImportError)):
        message = str(error).lower()
        if any(words in message for words in OUT_OF_MEMORY):
            return True
    # A library that cannot be loaded for lack of memory is reported as broken.
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
