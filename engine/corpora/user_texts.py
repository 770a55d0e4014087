"""Storing the texts that the user pastes or uploads.

The name of a stored text contains a hash of its content, so the same text is stored once.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.corpora.documents import parse
from engine.errors import CorpusError
from engine.hardware import disk
from engine.hub.failures import DISK_FULL

MOST_BYTES = 20_000_000
"""Limit for a pasted or uploaded text. A tokenizer needs about ten seconds, and 60 times this in memory."""
UNUSED_DAYS = 7
MAX_NAME = 40
SUFFIXES = (".txt", ".jsonl")
STORED = re.compile(r"-[0-9a-f]{16}\.(txt|jsonl)")
"""What the name of a stored text contains."""


def save_text(content: str | bytes, directory: Path, suffix: str, name: str = "text") -> Path:
    """Store a pasted or uploaded text in a directory and return its path.

    Args:
        name: the first part of the file name; a hash of the content follows.

    Raises:
        CorpusError: it is too long, not UTF-8, not in the format of its suffix, or empty, or the disk cannot
            be written.
    """
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise CorpusError(
            f"The file name of a text ends with {' or '.join(SUFFIXES)}, but this one ends with "
            f"{suffix or 'neither'}. Save it as one of these."
        )
    content = _encoded(content)  # the limit is in bytes
    if len(content) > MOST_BYTES:
        raise CorpusError(
            f"The text has {len(content) / 1e6:,.1f} MB, but the limit is {MOST_BYTES / 1e6:,.0f} MB. Use a "
            "part of it, or the path of a file on this machine."
        )
    parse(content, suffix, "The text")  # only to check it
    path = _path_for(content, directory, suffix, name)
    try:
        _write(path, content)
    except OSError as error:
        reason = "the disk is full" if error.errno in DISK_FULL else error.strerror or str(error)
        raise CorpusError(
            f"The text could not be saved in {directory} ({reason}). Free some space there, or make it "
            f"writable."
        ) from error
    return path


def _path_for(content: bytes, directory: Path, suffix: str, name: str) -> Path:
    """Return the path for a text, or that of the same text if it is stored under another name."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    existing = sorted(directory.glob(f"*-{digest}{suffix}"))
    if existing:
        return existing[0]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_NAME] or "text"
    return directory / f"{plain}-{digest}{suffix}"


def touch_texts(names: Iterable[str], directory: Path) -> None:
    """Record that stored texts were used now; names that are not files in `directory` are ignored."""
    for name in names:
        path = Path(name)
        if path.parent == directory.resolve() and path.is_file():
            path.touch()


def drop_unused_texts(directory: Path) -> None:
    """Delete the stored texts that have not been used for `UNUSED_DAYS`, as far as they can be deleted."""
    oldest = time.time() - UNUSED_DAYS * 24 * 60 * 60
    for path in directory.glob("*"):
        with suppress(OSError):  # another process may have deleted it
            # The user may have chosen a home that holds other files.
            if STORED.search(path.name) and path.stat().st_mtime < oldest:
                path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically; if it exists already, record that it was used now."""
    # The name contains the hash, so equal size means equal content; the size catches a truncated file.
    if path.is_file() and path.stat().st_size == len(content):
        path.touch()
        return
    disk.make_private(path.parent)
    disk.write_file(path, content)


def _encoded(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"The text contains half a character at position {error.start + 1}. Copy it again."
        ) from error
