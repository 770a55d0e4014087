"""The index: the summaries of the runs in an SQLite file next to their folders, so that the first list of
thousands of runs need not read them all.

It is never the truth. Each row is sealed with the state of the folder's files, so a row that is old, damaged,
or written by another process for other files is not used; a whole index that is missing, damaged, locked or
of another version is the same as an empty one. It needs no write-ahead log, whose shared memory network file
systems do not have, and no syncs to the disk: what a crash loses is read from the folders again.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Set
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.models.identity import ROOT
from engine.store.folder import Files
from engine.store.summary import RunSummary

Row = tuple[bytes, bytes]
"""The seal and the summary as JSON."""

DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Errors of a file that is no index: it has other tables, damaged pages, or is no database."""
PATIENCE = 1.0  # seconds to wait for another process; reading the folders takes little longer
_ADAPTER = TypeAdapter(RunSummary)  # built once, which is slow


class SummaryIndex:
    """The index in a file, which need not exist and may be anything."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, kind: str) -> dict[str, Row]:
        """Return the rows of one kind of runs by key; none if the file cannot be used."""
        with suppress(sqlite3.Error), self._connect("ro") as database:
            if database.execute("PRAGMA user_version").fetchone() == (version(),):
                rows = database.execute("SELECT key, seal, summary FROM runs WHERE kind = ?", (kind,))
                return {key: (seal, summary) for key, seal, summary in rows}
        return {}

    def write(self, kind: str, rows: Mapping[str, Row], gone: Set[str]) -> None:
        """Write some rows and delete others; do nothing if the file cannot be written."""
        try:
            self._write(kind, rows, gone)
        except sqlite3.Error as error:
            # Otherwise it is locked or read-only, or the disk is full.
            if getattr(error, "sqlite_errorcode", None) in DAMAGED:
                with suppress(OSError, sqlite3.Error):
                    self._path.unlink()
                    self._write(kind, rows, gone)  # the next process adds the rows that are lost

    def _write(self, kind: str, rows: Mapping[str, Row], gone: Set[str]) -> None:
        with self._connect("rwc") as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("BEGIN IMMEDIATE")
            if database.execute("PRAGMA user_version").fetchone() != (version(),):
                database.execute("DROP TABLE IF EXISTS runs")
                database.execute(f"PRAGMA user_version = {version()}")
                database.execute("CREATE TABLE runs (kind, key, seal, summary, PRIMARY KEY (kind, key))")
            database.executemany("DELETE FROM runs WHERE kind = ? AND key = ?", ((kind, key) for key in gone))
            database.executemany(
                "INSERT OR REPLACE INTO runs (kind, key, seal, summary) VALUES (?, ?, ?, ?)",
                ((kind, key, *row) for key, row in rows.items()),
            )
            database.execute("COMMIT")

    @contextmanager
    def _connect(self, mode: str) -> Iterator[sqlite3.Connection]:
        if os.path.lexists(self._path) and not os.path.isfile(self._path):
            raise sqlite3.OperationalError("not a file")  # SQLite would wait for the writer of a pipe
        address = f"{self._path.as_uri()}?mode={mode}"
        # `isolation_level=None`: transactions begin where they are written.
        database = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
        with closing(database):
            yield database


def to_row(files: Files, summary: RunSummary) -> Row:
    """Return the row of a summary that was read when the folder had these files."""
    # The recipe of the record is the same.
    lean = replace(summary, recipe=None) if summary.record is not None else summary
    text = _ADAPTER.dump_json(lean, exclude_defaults=True)
    return _seal(files, text), text


def from_row(files: Files, row: Row) -> RunSummary | None:
    """Return the summary of a row, None if it is not that of these files."""
    seal, text = row
    if not isinstance(text, bytes) or seal != _seal(files, text):
        return None
    try:
        summary = _ADAPTER.validate_json(text)
    except ValidationError:
        return None
    return summary if summary.record is None else replace(summary, recipe=summary.record.recipe)


def _seal(files: Files, text: bytes) -> bytes:
    return blake2b(repr(files).encode() + text, digest_size=16).digest()


@cache
def version() -> int:
    """Return a number that changes whenever the engine's code does, which decides what a summary says."""
    sources = sorted((ROOT / "engine").rglob("*.py"))
    return zlib.crc32(b"".join(path.read_bytes() for path in sources)) >> 1  # SQLite's is signed
