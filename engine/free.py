"""What is free now: memory of the host and of the accelerator, and disk.

What counts on the host is what the system could give without swapping, or what the container's limit leaves where that is less: inside a container
`/proc/meminfo` still shows the whole machine. Where a system says neither (macOS) half of its memory is taken for free; None is "nobody knows".
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROOT = Path("/")


def host_free(root: Path = ROOT) -> int | None:
    """Bytes of memory that this process could still get; `root` is where `/proc` and `/sys` are."""
    known = [free for free in (_system(root), *_groups(root)) if free is not None]
    return max(0, min(known)) if known else None


def device_free(device: torch.device | None = None) -> int:
    """Bytes free on a CUDA device (by default the current one), those included that torch holds for the next tensor."""
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
    """What each control group that this process is in leaves: version 2 and 1, the innermost and those around it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits(root / "sys/fs/cgroup", path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits(root / "sys/fs/cgroup/memory", path, names)


def _limits(top: Path, path: str, names: tuple[str, str, str]) -> Iterator[int | None]:
    """Limit minus use of a group and of all around it; files that the system merely keeps read do not count as used."""
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
