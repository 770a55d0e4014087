"""Tokenised rows on disk, so that a text is tokenised once per tokenizer. A million tokens take 5 MB.

A file's name is a hash of everything its rows depend on: the documents and how they are joined, the tokenizer
and the version of its library, and the length limit if short rows are left out. Files are written atomically,
so several runs may share a directory, and checked when they are read; a damaged file counts as absent. If the
directory grows too large, the least recently used files are deleted. If the disk cannot be written, the next
run has to tokenise again, and nothing else happens.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from engine.corpora.tokenise import Rows
from engine.hardware import disk

FORMAT = 1
"""Increase when the content of a file changes, or how rows are made."""
MOST_BYTES = 500_000_000
"""Limit for all files together."""
SUFFIX = ".tokens.npz"


def tokenizer_fingerprint(tokenizer: Any) -> str | None:
    """Return the SHA-256 of a fast tokenizer's complete state, 16 hexadecimal digits.

    None for a slow tokenizer, whose state cannot be hashed.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not getattr(tokenizer, "is_fast", False):
        return None
    import tokenizers
    import transformers

    versions = f"{tokenizers.__version__} {transformers.__version__} {type(tokenizer).__name__}"
    special = f"{tokenizer.bos_token_id} {tokenizer.eos_token_id}"
    return hashlib.sha256(f"{versions} {special} {backend.to_str()}".encode()).hexdigest()[:16]


class RowCache:
    """Rows by key in a directory, which is created with the first file."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most_bytes = most_bytes

    def get(self, key: str) -> Rows | None:
        """Return the rows stored under `key`, None if they are absent or damaged."""
        path = self._path(key)
        try:
            # reading an archive compares its checksums
            with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as file:
                rows = Rows(
                    ids=file["ids"].astype(np.int64),
                    counts=file["counts"].astype(np.int64) if "counts" in file else None,
                    ends=file["ends"].astype(np.int64),
                )
                if file["format"] != FORMAT:
                    return None
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            return None
        with suppress(OSError):
            path.touch()  # the time of last use
        return rows

    def put(self, key: str, rows: Rows) -> None:
        """Store rows; without effect if the disk cannot be written."""
        path = self._path(key)
        arrays: dict[str, Any] = {
            "ids": rows.ids.astype("<u4"),
            "ends": rows.ends.astype("<i8"),
            "format": np.int64(FORMAT),
        }
        if rows.counts is not None:
            arrays["counts"] = rows.counts.astype(np.min_scalar_type(int(rows.counts.max(initial=0))))

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:  # given a name, numpy would append its own suffix
                np.savez(file, allow_pickle=False, **arrays)

        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            disk.replace_file(path, save)
            self._evict(path)

    def _evict(self, newest: Path) -> None:
        """Delete the least recently used files, but never the newest, until the rest is within the limit."""
        files = sorted(
            (path.stat().st_mtime, path.stat().st_size, path) for path in self._directory.glob(f"*{SUFFIX}")
        )
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(f'{FORMAT} {key}'.encode()).hexdigest()[:24]}{SUFFIX}"
