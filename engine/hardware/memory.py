"""What is free now: memory of the host and of the accelerator, and disk.

What counts on the host is what the system could give without swapping, or what the container's limit leaves
where that is less: inside a container `/proc/meminfo` still shows the whole machine. Where a system says
neither (macOS) half of its memory is taken for free; None is "nobody knows".

What this machine has free now: memory of the host and of the accelerator, and disk.

An accelerator that shares the host's memory (MPS) has none of its own. Cost: a few small files; the first
question to CUDA makes a context there.

Peak memory of a stretch of work: of the process as the system counts it, and of the accelerator as torch
counts it; and giving memory back.

How much memory a method's temporaries may take, and how many pieces of work that is.

Half of what is free: on an accelerator large batches fill it best. On a CPU a batch that stays near the core
is faster than one as large as can be (`near`), so most of the budget is left alone there. A single piece is
always allowed: what it takes is the caller's affair.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
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
    except (
        OSError
    ):  # another system than Linux, or not permitted: the peak is then that of the process's whole life
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
    """Return freed memory to the system, where its allocator keeps it (glibc): in a long row of blocks that
    is as much as the whole model.
    """
    if libc := _glibc():
        libc.malloc_trim(0)


def return_large() -> None:
    """From now on have allocations from `LARGE` on go back to the system when they are freed, in the whole
    process (glibc).

    By itself the allocator learns from each freed one, up to 32 MB, to keep them, and they leave gaps between
    the blocks of a streamed model. It costs page faults: a few per cent of the time at this size, a fifth
    from 4 MB on.
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


ROOT = Path("/")


def host_free(root: Path = ROOT) -> int | None:
    """Bytes of memory that this process could still get; `root` is where `/proc` and `/sys` are."""
    known = [free for free in (_system(root), *_groups(root)) if free is not None]
    return max(0, min(known)) if known else None


def device_free(device: torch.device | None = None) -> int:
    """Bytes free on a CUDA device (by default the current one), those included that torch holds for the next
    tensor.
    """
    import torch  # (a page that asks for the disk does without it)

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _system(root: Path) -> int | None:
    if found := re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo")):
        return int(found[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _groups(root: Path) -> Iterator[int | None]:
    """What each control group that this process is in leaves: version 2 and 1, the innermost and those around
    it.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits(
                root / "sys/fs/cgroup", path, ("memory.max", "memory.current", "inactive_file")
            )
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits(root / "sys/fs/cgroup/memory", path, names)


def _limits(top: Path, path: str, names: tuple[str, str, str]) -> Iterator[int | None]:
    """Limit minus use of a group and of all around it; files that the system merely keeps read do not count
    as used.
    """
    group = top / path.lstrip("/")
    for place in (group, *group.parents):
        yield _left(place, *names)
        if place == top:
            return


def _left(group: Path, most: str, used: str, idle: str) -> int | None:
    limit, usage = _text(group / most).strip(), _text(group / used).strip()
    if not (limit.isdigit() and usage.isdigit()):  # "max", or no such group here
        return None
    found = re.search(rf"^{idle} (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
    return int(limit) - int(usage) + (int(found[1]) if found else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def disk_free(directory: Path) -> int | None:
    """Bytes free where a directory is, or will be made; None where that cannot be read."""
    there = next((place for place in (directory, *directory.parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


class Capacity(BaseModel):
    """What is free, in bytes.

    Attributes:
        host_free: memory of the host, None where the system does not say.
        device_free: memory of the accelerator, None on a CPU and where it is the host's.
        disk_free: of the disk that downloads go to.
        store_free: of the disk that runs are kept on, None where that was not asked.
        device: what `device_free` is about: cuda, mps or cpu.
    """

    model_config = ConfigDict(frozen=True)

    host_free: int | None
    device_free: int | None = None
    disk_free: int | None = None
    store_free: int | None = None
    device: str = "cpu"


def measure(device: str, downloads: Path, store: Path | None = None) -> Capacity:
    """What is free for a run on this device (cuda, mps or cpu), downloads into one directory and results in
    another; neither need be there yet.
    """
    return Capacity(
        host_free=host_free(),
        device_free=device_free() if device == "cuda" else None,
        disk_free=disk_free(downloads),
        store_free=None if store is None else disk_free(store),
        device=device,
    )


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
    """What the host had free at a moment, counted in `FRESH`: asking takes 0.3 ms, as long as a small
    linear's batch.
    """
    return host_free()


def near(most: int, device: torch.device) -> int:
    """Bytes that one batch should take: all of `most` on an accelerator, little on a CPU."""
    return min(most, NEAR) if device.type == "cpu" else most


def at_once(pieces: int, each: int, most: int) -> int:
    """How many of `pieces`, `each` of so many bytes, fit into `most` bytes: all, some, or at least one."""
    return max(1, min(pieces, most // max(1, each)))
