"""Writing a run's files: atomically, with a sentence about the disk in place of an OSError."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import StoreError
from engine.hardware import disk
from engine.hardware.home import VARIABLE, home
from engine.hub.failures import DISK_FULL, NOT_WRITABLE

TEMPORARY = disk.TEMPORARY
SMALLEST_ROOM = 4 * 2**20
"""Free bytes below which no run is started: the masks, records and events of a small model."""

IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST)  # a file where a directory is needed
FAILED = "The run could not be saved"


def store_error(path: Path, error: OSError) -> StoreError:
    """Return the error that explains why the system refused a write to `path`, and what to do about it."""
    elsewhere = (
        f"or set {VARIABLE} to a directory on another disk."
        if path.absolute().is_relative_to(home())
        else "or choose a directory on another disk (--out)."
    )
    if error.errno in DISK_FULL:
        return StoreError(f"{FAILED}: the disk that holds {path} is full. Free some space there, {elsewhere}")
    if error.errno in NOT_WRITABLE:
        return StoreError(
            f"{FAILED}: {path} is read-only or belongs to another user. Make it writable, {elsewhere}"
        )
    if error.errno in IN_THE_WAY:
        return StoreError(
            f"{FAILED}: part of the path {path} is a file, not a directory. Move that file, {elsewhere}"
        )
    reason = error.strerror or str(error)
    return StoreError(f"{FAILED} at {path} ({reason}). Check that disk, {elsewhere}")


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn the OSErrors of writes to `path` into sentences.

    Raises:
        StoreError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise store_error(path, error) from error


def write(path: Path, content: bytes) -> None:
    """Write a whole file atomically.

    Raises:
        StoreError: the disk refuses.
    """
    replace(path, lambda temporary: temporary.write_bytes(content))


def replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file under a temporary name, then put it in the place of `path`.

    Raises:
        StoreError: the disk refuses.
    """
    with store_errors(path):
        disk.replace_file(path, fill)


def append(path: Path, line: bytes) -> None:
    """Append a line to a file; if the line does not fit on the disk, the file keeps its old content.

    Raises:
        StoreError: the disk refuses.
    """
    with store_errors(path):
        # Unbuffered: a buffered file would write what failed again when it is closed.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            rest = memoryview(line)
            try:
                while rest:  # `os.write` may write less than it is given
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                # Otherwise the next event would continue half a line.
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def check_writable(directory: Path, *, private: bool = False) -> None:
    """Check that a run can be started in a directory, creating the directory if it is missing.

    Args:
        private: create it for this user only.

    Raises:
        StoreError: the directory cannot be written, or its disk is almost full.
    """
    with store_errors(directory):
        if private:
            disk.make_private(directory)
        else:
            directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
        if free < SMALLEST_ROOM:
            raise OSError(errno.ENOSPC, f"{free} bytes left")
        # Only a write shows whether the directory may be written.
        with disk.temporary_name(directory / "probe") as probe:
            probe.write_bytes(b"?")
