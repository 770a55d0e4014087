"""Tokenised rows on the disk, so that a text is tokenised once a tokenizer: a million tokens are 5 MB.

A file is named by what its rows depend on (documents, how they are joined, tokenizer with its library, and
the length where short rows are left out). It is written whole or not at all, so that several runs may share a
directory; it is checked when it is read, and one that is damaged is as if it were not there. The oldest files
go when there are too many. A disk that refuses costs the time of the next run and nothing else.
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
"""Raised when what a file holds changes, or how rows are made."""
MOST_BYTES = 500_000_000
"""Of all files together."""
ENDING = ".tokens.npz"


def tokenizer_fingerprint(tokenizer: Any) -> str | None:
    """SHA-256 of a fast tokenizer's whole state, 16 hex digits; None for others, which cannot be told apart."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not getattr(tokenizer, "is_fast", False):
        return None
    import tokenizers
    import transformers

    versions = f"{tokenizers.__version__} {transformers.__version__} {type(tokenizer).__name__}"
    ends = f"{tokenizer.bos_token_id} {tokenizer.eos_token_id}"
    return hashlib.sha256(f"{versions} {ends} {backend.to_str()}".encode()).hexdigest()[:16]


class RowCache:
    """Rows by key in a directory, which is made when the first are put there."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most_bytes = most_bytes

    def get(self, key: str) -> Rows | None:
        """The rows that were put under this key, if they are whole."""
        path = self._path(key)
        try:
            with np.load(
                BytesIO(path.read_bytes()), allow_pickle=False
            ) as file:  # the archive's own checksums are compared
                rows = Rows(
                    ids=file["ids"].astype(np.int64),
                    counts=file["counts"].astype(np.int64) if "counts" in file else None,
                    ends=file["ends"].astype(np.int64),
                )
                whole = file["format"] == FORMAT
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            return None
        if not whole:
            return None
        with suppress(OSError):
            path.touch()
        return rows

    def put(self, key: str, rows: Rows) -> None:
        """Keep rows; where the disk refuses, they are not kept."""
        path = self._path(key)
        arrays: dict[str, Any] = {
            "ids": rows.ids.astype("<u4"),
            "ends": rows.ends.astype("<i8"),
            "format": np.int64(FORMAT),
        }
        if rows.counts is not None:
            arrays["counts"] = rows.counts.astype(np.min_scalar_type(int(rows.counts.max(initial=0))))

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:  # given a name, numpy would append `.npz` to it
                np.savez(file, allow_pickle=False, **arrays)

        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            disk.replace_file(path, save)
            self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        """Drop the files that were used longest ago until the others are few enough."""
        files = sorted(
            (path.stat().st_mtime, path.stat().st_size, path) for path in self._directory.glob(f"*{ENDING}")
        )
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(f'{FORMAT} {key}'.encode()).hexdigest()[:24]}{ENDING}"
