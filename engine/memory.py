"""Peak memory of a stretch of work: of the process as the system counts it, and of the accelerator as torch counts it; and giving memory back."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

LARGE = 16_000_000
"""Bytes."""
MMAP_THRESHOLD = -3
"""The number of this option in glibc's malloc.h."""


def reset_peaks(device: torch.device) -> None:
    """Start counting anew, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        CLEAR.write_text("5")
    except OSError:  # another system than Linux, or not permitted: the peak is then that of the process's whole life
        return


def peak_host() -> int | None:
    """Most memory resident at once in this process, bytes; None where the system does not say."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def peak_device(device: torch.device) -> int | None:
    """Most memory allocated on the accelerator, bytes; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def give_back() -> None:
    """Return freed memory to the system, where its allocator keeps it (glibc): in a long row of blocks that is as much as the whole model."""
    if libc := _glibc():
        libc.malloc_trim(0)


def return_large() -> None:
    """From now on have allocations from `LARGE` on go back to the system when they are freed, in the whole process (glibc).

    By itself the allocator learns from each freed one, up to 32 MB, to keep them, and they leave gaps between the blocks of a streamed model.
    It costs page faults: a few per cent of the time at this size, a fifth from 4 MB on.
    """
    if libc := _glibc():
        libc.mallopt(MMAP_THRESHOLD, LARGE)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is the one with these functions."""
    with suppress(OSError, TypeError, AttributeError):
        libc = ctypes.CDLL(None)
        if libc.malloc_trim and libc.mallopt:
            return libc
    return None
