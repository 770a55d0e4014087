"""How much memory a method's temporaries may take, and how many pieces of work that is.

Half of what is free: on an accelerator large batches fill it best. On a CPU a batch that stays near the core is faster than one as large as can be
(`near`), so most of the budget is left alone there. A single piece is always allowed: what it takes is the caller's affair.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch

from engine.free import device_free, host_free

SHARE = 0.5
"""Of the memory that is free, for one method's temporaries."""
NEAR = 4 * 2**20
"""Bytes of a batch that stays near a CPU's core."""
FRESH = 0.25
"""Seconds for which the host's free memory is taken to stay as it was."""
UNKNOWN = 2**30
"""Bytes that are taken to be available where the system does not say."""


def budget(device: torch.device) -> int:
    """Bytes that temporaries may take on `device` now."""
    free = device_free(device) if device.type == "cuda" else _lately(int(time.monotonic() / FRESH))
    return int((UNKNOWN if free is None else free) * SHARE)


@lru_cache(maxsize=1)
def _lately(moment: int) -> int | None:
    """What the host had free at a moment, counted in `FRESH`: asking takes 0.3 ms, as long as a small linear's batch."""
    return host_free()


def near(most: int, device: torch.device) -> int:
    """Bytes that one batch should take: all of `most` on an accelerator, little on a CPU."""
    return min(most, NEAR) if device.type == "cpu" else most


def at_once(pieces: int, each: int, most: int) -> int:
    """How many of `pieces`, `each` of so many bytes, fit into `most` bytes: all, some, or at least one."""
    return max(1, min(pieces, most // max(1, each)))
