"""SHA-256 of whole files, remembered for as long as the system says that a file has not changed.

The first time a file is read in full, which takes a few seconds per GB. Later calls
cost two system calls. What tells a changed file is its size, its inode and the times of the last change of
its content and of its inode; the latter cannot be set by programs. Hashes of large files are also stored in
the home directory, for other processes. Does not notice a disk that changes without the system's knowledge.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from engine.hardware import disk
from engine.hardware.home import home

LARGE = 64 * 2**20
"""Bytes from which a hash is stored; below, reading the file takes less than about 0.1 s."""
SETTLED = 2 * 10**9
"""Nanoseconds without a change after which a hash is remembered. File systems round times (FAT to 2 s), so a
file that changes twice in a moment may look the same."""

State = list[int]
_known: dict[Path, tuple[State, str]] = {}


def sha256(path: Path) -> str:
    """Return the hash of a file's content, 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    path = path.resolve()
    state = _state(path)
    known = _known.get(path) or _stored(path)
    if known is not None and known[0] == state:
        _known[path] = known
        return known[1]
    now = time.time_ns()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _state(path) == state and now - max(state[-2:]) > SETTLED:
        _known[path] = state, digest
        _store(path, state, digest)
    return digest


def _state(path: Path) -> State:
    status = path.stat()
    return [status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _stored(path: Path) -> tuple[State, str] | None:
    try:
        state, digest = json.loads(_place(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # absent or damaged
        return None
    return state, digest


def _store(path: Path, state: State, digest: str) -> None:
    if state[0] < LARGE:
        return
    with suppress(OSError):  # then the next process reads the file again
        place = _place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        disk.write_file(place, json.dumps([state, digest]).encode())


def _place(path: Path) -> Path:
    name = hashlib.sha256(str(path).encode()).hexdigest()[:24]
    return home() / "cache" / "file-hashes" / f"{name}.json"
