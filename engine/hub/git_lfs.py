"""Git LFS pointers: the small text files that `git clone` leaves in place of large ones without Git LFS."""

from __future__ import annotations

from pathlib import Path

START = b"version https://git-lfs.github.com/spec/"
MOST_BYTES = 1024
"""By the specification, pointers are smaller."""
FIX = "Run `git lfs pull` in the cloned repository"


def is_pointer(path: Path) -> bool:
    """Return whether a file is a pointer."""
    try:
        return path.stat().st_size < MOST_BYTES and holds_pointer(path.read_bytes())
    except OSError:  # absent, for instance
        return False


def holds_pointer(content: bytes) -> bool:
    """Return whether a file's content is that of a pointer."""
    return len(content) < MOST_BYTES and content.startswith(START)
