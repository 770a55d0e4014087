"""Runs as their folders show them. Parsed events are cached, so that looking again reads only new ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import StoreError
from engine.jobs.views import RunView, ViewState
from engine.record import RunRecord
from engine.store.folder import Files, RunFolder
from engine.store.follow import Tail

MOST = 64  # runs whose parsed events are cached


@dataclass
class Followed:
    """A folder whose parsed events are cached.

    Attributes:
        checked: the folder's files when it was last checked for damage.
        damage: what was found, None if it is sound.
    """

    tail: Tail
    checked: Files | None = None
    damage: str | None = None


class FollowedRuns:
    """The folders that were looked at last; callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By path, because an own and a recorded run may share a key; the least recently viewed first.
        self._followed: OrderedDict[Path, Followed] = OrderedDict()

    def record(self, folder: RunFolder) -> RunRecord:
        """Return the fold of a folder's events so far, with the state that the events alone give."""
        return self._follow(folder).tail.record

    def view(self, folder: RunFolder) -> RunView:
        """Return a run that is not in the queue.

        Raises:
            StoreError: the folder is damaged.
        """
        followed = self._follow(folder)
        # Checking parses all events again, so only after a file has changed.
        files = folder.files()
        if followed.checked != files:
            followed.checked, followed.damage = files, folder.damage()
        if followed.damage is not None:
            raise StoreError(followed.damage)
        return replace(
            view_of(folder.with_derived_state(followed.tail.record)),
            recorded=folder.recorded,
            imported=folder.imported,
            has_weights=folder.has_weights,
        )

    def _follow(self, folder: RunFolder) -> Followed:
        """Return the folder with its events up to date; only new events are read."""
        # Under the lock, because two threads must not refresh the same `Tail`.
        with self._lock:
            followed = self._followed.setdefault(folder.path, Followed(Tail(folder)))
            try:
                followed.tail.refresh()
            except StoreError:  # `RunFolder.damage` reports it in more detail
                followed.tail = Tail(folder)
            self._followed.move_to_end(folder.path)
            while len(self._followed) > MOST:
                self._followed.popitem(last=False)
            return followed


def view_of(record: RunRecord) -> RunView:
    """Return the view that a record alone gives."""
    # `empty`: the folder exists, but its first event is not written yet.
    state: ViewState = "running" if record.state == "empty" else record.state
    return RunView(record.model_copy(update={"state": state}), state, None, record.error or "")


def attempt_words(record: RunRecord) -> str:
    """Return a sentence about a run that was started here and gave no result; empty for another."""
    match record.state:
        case "cancelled":
            done = f" after block {len(record.blocks)}" if record.blocks else ""
            return f"The run that was started here was cancelled{done}."
        case "failed":
            return f"The run that was started here failed: {record.error}"
        case "interrupted":
            return f"The run that was started here was interrupted. {record.error}"
    return ""
