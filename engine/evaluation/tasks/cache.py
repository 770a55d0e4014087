"""A cache of task scores on the disk, so that the dense model, the same in every run, is measured once.

Each score is one small JSON file. A file that is missing, damaged or of another key counts as a miss; a disk
that refuses costs the time of the next run and nothing else. The hub's documents of a task are assumed never
to change, so that a cached score is found offline; a data set that changes there goes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from engine.events import Facts, TaskScore
from engine.hardware import disk

FORMAT = 1
"""Increased whenever the meaning of a score changes."""


class Key(Facts):
    """What a score depends on, besides the model.

    Attributes:
        documents: the digest of local documents, or `hub`.
        harness: lm-eval's version and its name of the task.
    """

    task: str
    metric: str
    limit: int | None
    documents: str
    harness: str


class _Entry(Facts):
    format: int
    model: str
    key: Key
    score: TaskScore


class ResultCache:
    """The scores of one model.

    Args:
        directory: the directory for the scores of all models; it is created with the first score.
        fingerprint: any text that identifies the model and its weights; two models that differ must not share
            it.
    """

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self._directory = directory
        self._fingerprint = fingerprint

    def get(self, key: Key) -> TaskScore | None:
        """Return the score that was stored under this key, if there is one."""
        try:
            entry = _Entry.model_validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):  # the latter also for text that is not JSON
            return None
        # The file's name holds only a part of the digest, and files can be renamed.
        same = (entry.format, entry.model, entry.key) == (FORMAT, self._fingerprint, key)
        return entry.score if same else None

    def put(self, key: Key, score: TaskScore) -> None:
        """Store a score; do nothing if the disk refuses."""
        entry = _Entry(format=FORMAT, model=self._fingerprint, key=key, score=score)
        with suppress(OSError):
            disk.make_private(self._directory)
            disk.write_file(self._path(key), entry.model_dump_json().encode())

    def _path(self, key: Key) -> Path:
        identity = json.dumps([FORMAT, self._fingerprint, key.model_dump()], sort_keys=True)
        # 24 hex digits are 96 bits.
        return self._directory / f"{key.task}-{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
