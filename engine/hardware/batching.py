"""How much a run keeps in memory at a time, and what it gives up when that was too much.

What is tried after running out of memory, in this order: smaller batches, down to one window; hidden states
on the host; blocks read from the disk one at a time. None of them changes the result beyond the rounding of
differently shaped products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

Residence = Literal["resident", "streamed"]

TOKENS_AT_ONCE = {"cpu": 1024, "mps": 8192, "cuda": 16384}
"""Tokens a batch, by device: on a CPU the activations of a batch should stay in the cache (see the
benchmark).
"""
NO_ROOM = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc", "bad allocation")
"""What torch says in a plain RuntimeError where a CPU has no memory left."""


@dataclass(frozen=True)
class Room:
    """What may be held at a time.

    Attributes:
        tokens: tokens a batch.
        residence: where the model is held.
        offload: whether hidden states wait on the host.
    """

    tokens: int
    residence: Residence
    offload: bool = False

    @classmethod
    def on(cls, device: torch.device, residence: Residence, *, offload: bool = False) -> Room:
        """What a device does best with."""
        return cls(TOKENS_AT_ONCE[device.type], residence, offload)

    def batch(self, length: int) -> int:
        """Windows a batch."""
        return max(1, self.tokens // length)

    def smaller(self, length: int, device: torch.device) -> tuple[Room, str] | None:
        """Less room and what that means in words; None where nothing is left to give up. `length`: tokens a
        window.
        """
        if self.batch(length) > 1:
            tokens = max(length, self.tokens // 4)
            return replace(
                self, tokens=tokens
            ), f"batches of {max(1, tokens // length)} instead of {self.batch(length)} windows"
        if not self.offload and device.type != "cpu":
            return replace(self, offload=True), "the text's hidden states kept on the host"
        if self.residence == "resident":
            return replace(self, residence="streamed"), "the model read block by block from the disk"
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up, on the device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_ROOM)
