"""Memory and disk space: what is free, what a run used at its peak, and what temporaries may take.

Host memory counts as free if the system can provide it without swapping (psutil), or, if that is less, what
the limits of the container's control groups leave: inside a container psutil still describes the whole
machine. An accelerator that shares the host's memory (MPS) has none of its own. Throughout, None means
unknown.

Cost: a few small files are read (0.3 ms); the first query of a CUDA device creates a context there. PyTorch
is imported only where it is asked, because the app's process does without it.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch

USED = 0.9
"""Share of the free memory that runs may take. The rest covers what other programs allocate meanwhile, and
the error of the estimate.
"""
PROGRAM = 440_000_000
"""Bytes of a process that has imported everything and computed nothing."""
ROOT = Path("/")
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux only

# ---- free memory and disk space --------------------------------------------------------------------------


class Capacity(BaseModel):
    """What is free, in bytes.

    Attributes:
        host_free: memory of the host.
        device_free: memory of the accelerator, None on a CPU and if it shares the host's.
        disk_free: on the disk of the downloads, None if it was not measured.
        store_free: on the disk of the runs, None if it was not measured.
        device: which device `device_free` refers to: cuda, mps or cpu.
    """

    model_config = ConfigDict(frozen=True)

    host_free: int | None
    device_free: int | None = None
    disk_free: int | None = None
    store_free: int | None = None
    device: str = "cpu"


def measure_capacity(device: str, downloads: Path | None = None, store: Path | None = None) -> Capacity:
    """Return what is free for a run on this device (cuda, mps or cpu).

    Args:
        downloads: the directory of downloads; it need not exist yet. None if its disk does not matter.
        store: the same for the directory of runs.
    """
    return Capacity(
        host_free=host_free(),
        device_free=device_free() if device == "cuda" else None,
        disk_free=None if downloads is None else disk_free(downloads),
        store_free=None if store is None else disk_free(store),
        device=device,
    )


def host_free(root: Path = ROOT) -> int | None:
    """Return the bytes that this process can still get; limits of control groups are read below `root`."""
    known = [free for free in (_system_free(), *_cgroup_free(root)) if free is not None]
    return max(0, min(known)) if known else None


def device_free(device: torch.device | None = None) -> int:
    """Return the bytes free on a CUDA device (default: the current one).

    Memory that torch has reserved but not allocated counts as free: the next tensor can use it.
    """
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def disk_free(directory: Path) -> int | None:
    """Return the bytes free on the disk where a directory is, or would be created."""
    existing = next((path for path in (directory, *directory.parents) if path.exists()), None)
    try:
        return None if existing is None else shutil.disk_usage(existing).free
    except OSError:
        return None


def _system_free() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, RuntimeError, psutil.Error):  # a sandbox that hides `/proc`
        return None


# ---- limits of control groups ------------------------------------------------------------------------------


def _cgroup_free(root: Path) -> Iterator[int | None]:
    """Yield what each control group (version 1 and 2) of this process leaves, and each group around it."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)  # `4:memory:/docker/ID`, or `0::/path`
        if controllers == "":  # version 2
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):  # version 1
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container this may be the host's path, which does not exist here; the groups above still count.
        group = top / path.lstrip("/")
        for directory in (group, *group.parents):
            yield _group_free(directory, *names)
            if directory == top:
                break


def _group_free(group: Path, limit_file: str, usage_file: str, cache_key: str) -> int | None:
    """Return a group's limit minus its usage. Inactive file cache is not usage: it can be dropped."""
    limit, usage = _read(group / limit_file).strip(), _read(group / usage_file).strip()
    # Version 1 writes about 2^63 for "no limit", which is never the minimum.
    if not (limit.isdigit() and usage.isdigit()):  # "max", or there is no such group
        return None
    match = re.search(rf"^{cache_key} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return int(limit) - int(usage) + (int(match[1]) if match else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


# ---- peaks -------------------------------------------------------------------------------------------------


def reset_peaks(device: torch.device) -> None:
    """Reset the peak counters.

    If the system does not allow it, the host's peak is that of the process's lifetime.
    """
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # not Linux, or not permitted
        CLEAR_REFS.write_text("5")  # 5 resets the peak resident set size (man proc)


def peak_host() -> int | None:
    """Return the peak resident memory of this process in bytes."""
    match = re.search(r"VmHWM:\s+(\d+) kB", _read(STATUS))  # "high water mark"
    return int(match[1]) * 1024 if match else None


def peak_device(device: torch.device) -> int | None:
    """Return the peak memory allocated on the accelerator in bytes; None on a CPU."""
    if device.type != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)


# ---- returning memory to the system (glibc) ----------------------------------------------------------------

LARGE = 16_000_000
"""Bytes from which an allocation is returned as soon as it is freed. From 4 MB on, the page faults would cost
a fifth of the time; at this size it is a few per cent.
"""
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in glibc's malloc.h."""


def trim_heap() -> None:
    """Return freed memory to the system. After many blocks glibc holds back as much as the whole model."""
    if hasattr(psutil, "heap_trim"):  # not with every C library
        psutil.heap_trim()


def release_large_allocations() -> None:
    """From now on return every allocation of at least `LARGE` bytes when it is freed, in the whole process.

    By default glibc raises its threshold with each freed allocation, up to 32 MB, and reuses the memory; that
    leaves gaps between the blocks of a streamed model, and between the logits of a large vocabulary: the
    evaluation of eight windows of a model with 49,152 tokens took 0.7 GB more, in a worker's thread 1.2 GB.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library lacks this function
        # None is this process, a TypeError on Windows. Also stops glibc from raising the thresholds again.
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGE)
        # As glibc would have it: by its initial 128 kB it would return smaller temporaries at once as well.
        library.mallopt(TRIM_THRESHOLD, 2 * LARGE)


# ---- budget of temporaries ---------------------------------------------------------------------------------

SHARE = 0.5
"""Share of the free memory that one method's temporaries may take."""
CPU_BATCH = 4 * 2**20
"""Bytes of a batch that fits into a CPU's cache."""
REFRESH = 0.25
"""Seconds for which a reading of the host's free memory is reused. It takes as long as a linear's batch."""
ASSUMED_FREE = 2**30
"""Bytes that are assumed to be free if the system does not say."""


def budget(device: torch.device) -> int:
    """Return the bytes that a method's temporaries may take on `device` now."""
    if device.type == "cuda":
        return int(device_free(device) * SHARE)
    free = _recent_host_free(int(time.monotonic() / REFRESH))  # a new tick misses the cache
    return int((ASSUMED_FREE if free is None else free) * SHARE)


@lru_cache(maxsize=1)
def _recent_host_free(tick: int) -> int | None:
    """Return the host's free memory, read once per `tick`."""
    return host_free()


def batch_bytes(limit: int, device: torch.device) -> int:
    """Return the bytes that one batch should take.

    On an accelerator that is all of `limit`. On a CPU a batch that stays in the cache is faster than the
    largest that fits.
    """
    return min(limit, CPU_BATCH) if device.type == "cpu" else limit


def pieces_that_fit(pieces: int, bytes_each: int, limit: int) -> int:
    """Return how many of `pieces` fit into `limit` bytes; at least one, however large it is."""
    return max(1, min(pieces, limit // max(1, bytes_each)))
