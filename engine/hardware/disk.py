"""Atomic writes: a reader, or a crash, never leaves half a file or half a directory under its final name.

Everything is written under a fresh hidden name next to its place (`.NAME.RANDOM.tmp`, so on the same file
system), flushed to the disk, and renamed in one step. Whatever fails leaves the old file in place and no
temporary one. A process that is killed leaves its temporary file behind; `remove_leftovers` deletes those.
All functions raise the OSError of the system as it is.
"""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp"
"""The suffix of temporary names; the names are hidden, so listings of finished files skip them."""


@contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """Yield an unused name next to `path`, and delete the file or directory that is left under it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        yield temporary
    finally:
        delete(temporary)


def replace_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file under a temporary name, then put it in the place of `path`."""
    with temporary_name(path) as temporary:
        fill(temporary)
        # Without the sync a power failure may keep the rename but lose the content.
        descriptor = os.open(temporary, os.O_RDWR)  # Windows cannot sync a file that is open for reading only
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # unlike `rename`, also replaces on Windows


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def make_private(path: Path) -> None:
    """Create a directory, unless it exists, and its missing parents: for this user only."""
    missing = [path, *path.parents]
    while missing and missing[-1].exists():
        missing.pop()
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would give the parents the usual mode


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory, with its parents, that becomes `path` when the block ends without an error.

    `path` may be an empty directory; the rename fails if it holds anything.
    """
    with temporary_name(path) as temporary:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(path)


def remove_leftovers(path: Path) -> None:
    """Delete what killed processes left under temporary names for `path`; ignore what cannot be deleted."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY}"):
        delete(temporary)


def delete(path: Path) -> None:
    """Delete a file, a link or a directory with its content; ignore what cannot be deleted."""
    if path.is_dir() and not path.is_symlink():  # never delete what a link points to
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
