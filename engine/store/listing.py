"""Listing the runs in a directory: a folder is read again only when its files have changed."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.store.folder import Files, RunFolder, list_files
from engine.store.index import Row, SummaryIndex, from_row, to_row
from engine.store.summary import RunSummary, summarise

# Without dots: a key cannot leave the directory, and hidden temporary folders are no runs. Keys have 20
# letters; no file system takes names without a limit.
KEY = re.compile(r"[\w-]{1,100}")
FRESH = 2.0
"""Seconds. File systems count time in steps of up to 2 s; a second change within them may leave no trace."""
UNSETTLED = ("running", "interrupted")
"""States that may change although no file does: by taking or losing the lock."""


class Listing:
    """The runs in one directory, which need not exist.

    Args:
        folder: returns the folder with a key.
        kind: of the runs, in the index that several listings share.
    """

    def __init__(
        self, directory: Path, folder: Callable[[str], RunFolder], index: SummaryIndex, kind: str
    ) -> None:
        self._directory, self._folder, self._index, self._kind = directory, folder, index, kind
        # By key, with a hash of the files that were read; None before the first list, which asks the index.
        self._known: dict[str, tuple[int, RunSummary]] | None = None
        self._lock = threading.Lock()  # so that threads that list at the same time read each folder once

    def summaries(self) -> list[RunSummary]:
        """Return the runs in no particular order. Never raises."""
        with self._lock, _without_collection():
            return self._list()

    def _list(self) -> list[RunSummary]:
        rows = self._index.read(self._kind) if self._known is None else {}
        before = self._known or {}
        self._known = {}
        found: list[RunSummary] = []
        changed: dict[str, Row] = {}
        for key in run_keys(self._directory):
            files = list_files(os.path.join(self._directory, key))
            state, summary = before.get(key, (0, None))
            if summary is None or state != hash(files):
                summary = from_row(files, rows[key]) if key in rows else None
            may_change = False
            if summary is None:
                folder = self._folder(key)
                summary = summarise(folder, files)
                if not folder.exists:  # deleted meanwhile
                    continue
                may_change = _may_change_unseen(summary, files)
                if not may_change:
                    changed[key] = to_row(files, summary)
            if not may_change:
                self._known[key] = (hash(files), summary)
            found.append(summary)
        gone = (rows.keys() | before.keys()) - {summary.key for summary in found}
        if changed or gone:
            self._index.write(self._kind, changed, gone)
        return found


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector, which would search thousands of new summaries again and again: it took a
    third of the time, and they hold no cycles.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _may_change_unseen(summary: RunSummary, files: Files) -> bool:
    """Return whether the run may change although its files look the same."""
    newest = max((max(changed, moved) for _, _, changed, moved in files), default=0) / 1e9
    return summary.state in UNSETTLED or abs(time.time() - newest) < FRESH


def run_keys(directory: Path) -> list[str]:
    """Return the names of the run folders in a directory; none if there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            # `os.path.isdir`, because `entry.is_dir` raises an error for a link to itself.
            return [entry.name for entry in entries if KEY.fullmatch(entry.name) and os.path.isdir(entry)]
    except OSError:
        return []
