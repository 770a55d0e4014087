"""Reading a run's files, whatever lies in their place.

Someone may have put a directory, a pipe, a link to itself or a disk image where a run has a file. Reading one
of these must neither hang nor fill the memory.
"""

from __future__ import annotations

import errno
import gzip
import os
import stat
import zlib
from pathlib import Path

from engine.hardware import disk

LARGEST = 2**28
"""Bytes. The events of a mixture of experts with 18,000 linears have 10 MB."""


def read(path: Path, offset: int = 0) -> bytes:
    """Return the content of a file from a byte offset; of a `.gz` file, what is compressed in it.

    Raises:
        OSError: it is missing, unreadable, larger than `LARGEST`, or not a regular file.
    """
    if path.suffix == ".gz":
        return _decompressed(path)[offset:]
    # `O_NONBLOCK`, because opening a pipe waits for a writer; `O_BINARY` is needed and known on Windows only.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > LARGEST:
            raise OSError(errno.EFBIG, "too large", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(offset)
            # What is appended from now on is left for the next time; `read` allocates what it is asked for.
            return file.read(max(0, status.st_size - offset))
    finally:
        os.close(descriptor)


def _decompressed(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST + 1)
    except (EOFError, zlib.error) as error:
        raise OSError(errno.EIO, "incomplete", str(path)) from error
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, "too large", str(path))
    return content


def make_way(path: Path) -> None:
    """Remove what lies in the place of a file and is none: a directory, a pipe, a link to nothing.

    What cannot be removed stays.
    """
    if not os.path.isfile(path):
        disk.delete(path)
