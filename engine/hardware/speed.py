"""How fast a device computes: operations per second of matrix products and bytes per second of memory.

Both are measured, once per process, in about 0.15 seconds: they are what the estimate of a run's duration is
calibrated with. They are those of the moment, so other programs that compute meanwhile count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch

from engine.hardware.device import Clock, available_threads, threads

SIDES = {"cpu": 768}
"""Rows and columns of the matrix product."""
ACCELERATOR_SIDE = 4096  # a smaller product takes an accelerator about as long as starting it
NUMBERS = 64_000_000
"""Numbers in the tensor that is added to. A run goes through more memory than a cache holds, so the tensor
takes 256 MB; a server with a cache of 480 MB added twice as fast to one of 48 MB.
"""
REPEATS = 5


class Speed(NamedTuple):
    """Operations per second of a matrix product, and bytes per second read and written by an addition."""

    operations: float
    bandwidth: float


@cache
def speed_of(device: str, dtype: torch.dtype, most_threads: int) -> Speed:
    """Return the speed of a device, the best of a few measurements.

    Args:
        dtype: what matrix products are computed in.
        most_threads: of a CPU; a small model uses fewer than there are.
    """
    target = torch.device(device)
    side = SIDES.get(device, ACCELERATOR_SIDE)
    matrix = torch.rand(side, side, device=target, dtype=dtype)
    product = torch.empty_like(matrix)
    terms = torch.zeros(NUMBERS, device=target)
    with threads(min(most_threads, available_threads())):
        # a multiplication and an addition per term; each number is read and written
        operations = 2 * side**3 / _best(lambda: torch.mm(matrix, matrix, out=product), target)
        bandwidth = 2 * terms.nbytes / _best(lambda: terms.add_(1), target)
    return Speed(operations, bandwidth)


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of several calls; the first one includes one-time costs."""
    clock, best = Clock(device), float("inf")
    for _ in range(REPEATS):
        start = clock.now()
        work()
        best = min(best, clock.now() - start)
    return best
