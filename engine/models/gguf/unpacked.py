"""Where the weights of GGUF files are kept as safetensors: HOME/cache/gguf, by the content of the file.

The same file under another name or path is the same model. A directory is complete if it exists
(`engine.models.gguf.unpacking`).
"""

from __future__ import annotations

from pathlib import Path

from engine.hardware.file_hash import sha256
from engine.hardware.home import home

PREFIX = "gguf:"
"""Begins the revision of a GGUF file, which no revision on the hub does: git forbids the colon."""
FORMAT = 1
"""Increased when a file would be unpacked to something else, so that what is there is not used for it."""


def content(file: Path) -> str:
    """Return what identifies a GGUF file: `gguf:` and 16 hexadecimal digits of its SHA-256.

    Raises:
        OSError: it cannot be read.
    """
    return PREFIX + sha256(file)[:16]


def is_content(revision: str | None) -> bool:
    """Return whether a recipe's revision identifies a GGUF file."""
    return revision is not None and revision.startswith(PREFIX)


def place_of(revision: str) -> Path:
    """Return the directory of a GGUF file's weights, which need not exist."""
    return everything() / f"{revision.removeprefix(PREFIX)}-{FORMAT}"


def find(revision: str | None) -> Path | None:
    """Return the directory of a GGUF file's weights, None if they are not there."""
    if revision is None or not is_content(revision):
        return None
    place = place_of(revision)
    return place if place.is_dir() else None


def changed() -> int | None:
    """Return when a file was unpacked or its weights were deleted last, in nanoseconds; None if never."""
    try:
        return everything().stat().st_mtime_ns
    except OSError:
        return None


def everything() -> Path:
    """Return the directory that holds all of them."""
    return home() / "cache" / "gguf"
