"""Writing files so that a reader never sees half of one, and saying in a sentence why a disk refused.

A file is written under a temporary name beside its place, synced, and renamed. Whatever fails leaves the old
file and no temporary one.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import StoreError
from engine.hub.failures import DISK_FULL, NOT_WRITABLE

TEMPORARY = ".tmp"
SMALLEST_ROOM = 4 * 2**20
"""Free bytes below which no run is begun: the masks, records and events of a small model."""

IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST)
FAILED = "The run could not be saved"
ELSEWHERE = "or set PRUNESCOPE_HOME to a directory on another disk."


def refusal(path: Path, error: OSError) -> StoreError:
    """The sentence for a write that the system refused."""
    if error.errno in DISK_FULL:
        return StoreError(f"{FAILED}: the disk that holds {path} is full. Free some space there, {ELSEWHERE}")
    if error.errno in NOT_WRITABLE:
        return StoreError(
            f"{FAILED}: {path} is read-only or belongs to someone else. Make it writable, {ELSEWHERE}"
        )
    if error.errno in IN_THE_WAY:
        return StoreError(
            f"{FAILED}: on the way to {path} a file stands in a directory's place. Move it, {ELSEWHERE}"
        )
    reason = error.strerror or str(error)
    return StoreError(f"{FAILED} at {path} ({reason}). Check that disk, {ELSEWHERE}")


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Turns what the system says about a write to `path` into a sentence.

    Raises:
        StoreError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from error


def write(path: Path, content: bytes) -> None:
    """Write a whole file atomically.

    Raises:
        StoreError: the disk refuses.
    """
    replace(path, lambda temporary: temporary.write_bytes(content))


def replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Put the file that `fill` writes under a temporary name in `path`'s place.

    Raises:
        StoreError: the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    with said(path):
        try:
            fill(temporary)
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append(path: Path, line: bytes) -> None:
    """Add a line to the end of a file; a line that does not fit leaves the file as it was.

    Raises:
        StoreError: the disk refuses.
    """
    with said(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def check_writable(directory: Path) -> None:
    """Make sure that a run can be begun in a directory, which is made where it is missing.

    Raises:
        StoreError: it cannot be written, or has next to no room left.
    """
    with said(directory):
        directory.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(directory).free
        if room < SMALLEST_ROOM:
            raise OSError(errno.ENOSPC, f"{room} bytes left")
    probe = directory / f".probe-{uuid.uuid4().hex}{TEMPORARY}"
    with said(directory):
        try:
            probe.write_bytes(b"?")
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
