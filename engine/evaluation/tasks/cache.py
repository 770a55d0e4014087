"""Scores on disk, so that a model that was asked a task is not asked again: the dense model of every run is
the same.

One small JSON file a score, written whole or not at all. A file that is missing, damaged or of another key is
as if it were not there; a disk that refuses costs the time of the next run and nothing else. Documents of the
hub count as the same for ever: a score that was measured is found without a network, and a set that is
changed there is not noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from engine.events import Facts, TaskScore

FORMAT = 1
"""Raised when what a score means changes."""


class Key(Facts):
    """What a score depends on, besides the model.

    Attributes:
        documents: digest of local documents, or `hub`.
        harness: lm-eval's version and its name of the task.
    """

    task: str
    metric: str
    limit: int | None
    documents: str
    harness: str


class _Stored(Facts):
    format: int
    model: str
    key: Key
    score: TaskScore


class ResultCache:
    """The scores of one model.

    Args:
        directory: where scores of all models lie; it is made when the first is put there.
        fingerprint: what identifies the model with its weights, in any words: two models that differ must not
            share it.
    """

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self._directory = directory
        self._fingerprint = fingerprint

    def get(self, key: Key) -> TaskScore | None:
        """The score that was put under this key."""
        try:
            stored = _Stored.model_validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):
            return None
        same = (stored.format, stored.model, stored.key) == (FORMAT, self._fingerprint, key)
        return stored.score if same else None

    def put(self, key: Key, score: TaskScore) -> None:
        """Keep a score; where the disk refuses, it is not kept."""
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        stored = _Stored(format=FORMAT, model=self._fingerprint, key=key, score=score)
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_text(stored.model_dump_json(), encoding="utf-8")
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        words = json.dumps([FORMAT, self._fingerprint, key.model_dump()], sort_keys=True)
        return self._directory / f"{key.task}-{hashlib.sha256(words.encode()).hexdigest()[:24]}.json"
