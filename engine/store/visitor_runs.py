"""Which runs were started by visitors of a public app: a file HOME/visitors/KEY for each.

Only these are deleted to keep the disk space of visitors limited, the oldest first, and never a pinned one or
one that is queued or running. They do not go to the trash, which would keep the space.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection
from contextlib import suppress

from engine.errors import StoreError
from engine.hardware import disk
from engine.store import atomic_files
from engine.store.runs import Store, older_than
from engine.store.summary import RunSummary


class VisitorRuns:
    """The runs of visitors in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._marks = store.home / "visitors"

    def add(self, key: str) -> None:
        """Note that a visitor starts a run; one that exists already stays the operator's.

        Raises:
            StoreError: the disk refuses.
        """
        if self._store.folder(key).exists:
            return
        with atomic_files.store_errors(self._marks):
            disk.make_private(self._marks)
            (self._marks / key).touch()

    def has(self, key: str) -> bool:
        """Return whether a run is a visitor's."""
        return (self._marks / key).exists()

    def make_room(self, size: int, limit: int, busy: Collection[str]) -> bool:
        """Delete the oldest runs until `size` more bytes are within the limit; return whether they are.

        Args:
            size, limit: bytes.
            busy: keys of runs that are queued or running.
        """
        runs = self._runs(busy)
        total = size + sum(run.size for run in runs)
        # Of any age: only the order counts.
        for run in older_than((run for run in runs if run.key not in busy), -math.inf, now=0):
            if total <= limit:
                break
            with suppress(StoreError):  # it is computed by another process, or the disk refuses
                self._store.delete(run.key)
                shutil.rmtree(self._store.trash / run.key, ignore_errors=True)
                (self._marks / run.key).unlink(missing_ok=True)
                total -= run.size
        return total <= limit

    def _runs(self, busy: Collection[str]) -> list[RunSummary]:
        """Return the runs of visitors, and forget those that never began or that the operator deleted: the
        operator may compute the same later.
        """
        try:
            keys = set(os.listdir(self._marks))
        except OSError:  # no visitor yet
            return []
        runs = [run for run in self._store.list() if run.key in keys]
        for key in keys.difference(busy, (run.key for run in runs)):
            (self._marks / key).unlink(missing_ok=True)
        return runs
