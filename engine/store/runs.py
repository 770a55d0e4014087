"""All runs of a home directory: HOME/runs/KEY, HOME being PRUNESCOPE_HOME or the platform's data directory.
The recorded runs, which are bundled with the project (assets/recorded/KEY), are read-only; if both have a
run of the same key, the home's own is used, unless it ended without a result.

The list is made from the folders, but only those that changed since the last list are read again; an index
remembers that list for the next process. A folder that cannot be read is listed as damaged, with the reason;
a list never fails because of one.

`older_than` and `largest_until` choose what to delete to free space; they never choose a pinned,
recorded, queued or running run.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import Timeout

from engine.errors import StoreError
from engine.hardware import disk
from engine.hardware.home import home as default_home
from engine.models.identity import ROOT
from engine.recipe import Recipe
from engine.store import atomic_files, plain_files
from engine.store.folder import Files, RunFolder
from engine.store.index import SummaryIndex
from engine.store.listing import KEY, Listing, run_keys
from engine.store.series import QUICK
from engine.store.summary import Label, RunSummary, size_of, summarise

RECORDED = ROOT / "assets" / "recorded"
LEFTOVERS = f".*.{'[0-9a-f]' * 32}{disk.TEMPORARY}"
"""The names of what `engine.hardware.disk` had not finished."""

_recorded: dict[Path, tuple[RunSummary, ...]] = {}
"""The summaries of the recorded runs, by their directory."""
_reading = threading.Lock()
"""Held while they are read, so that threads that need them at the same time read them once."""


class Store:
    """The runs in `home` and the recorded ones. No directory is created until a run is written."""

    def __init__(self, home: Path | str | None = None, recorded: Path = RECORDED) -> None:
        self.home = Path(home).expanduser().absolute() if home else default_home()
        self.runs = self.home / "runs"
        self.trash = self.home / "trash"
        self.cache = self.home / "cache"
        self._recorded = recorded
        # By key, with the files at the time: checking a run parses all its events, and pages ask often.
        self._finished: dict[str, Files] = {}
        index = SummaryIndex(self.home / "index.sqlite3")
        self._own = Listing(self.runs, self.folder, index, "own")
        self._bundled = Listing(recorded, self._recorded_folder, index, "recorded")

    def find(self, key: str) -> RunFolder:
        """Return the folder to read a run from: the home's own, else the recorded one. An own run that was
        cancelled, failed or is damaged does not hide a recorded one.

        Raises:
            StoreError: no run can have this key.
        """
        own, recorded = self.folder(key), self._recorded_folder(key)
        return recorded if recorded.exists and not self._has_result(own) else own

    def _has_result(self, own: RunFolder) -> bool:
        """Return whether a run of the home is finished, or is being computed."""
        if own.locked:
            return True
        files = own.files()
        if self._finished.get(own.key) != files:
            if not own.is_finished():
                return False
            self._finished[own.key] = files
        return True

    def folder(self, key: str) -> RunFolder:
        """Return the folder of a run in the home, which need not exist.

        Raises:
            StoreError: no run can have this key.
        """
        if not KEY.fullmatch(key):
            raise StoreError(f"There is no run {key!r}: a key consists of letters and digits.")
        return RunFolder(self.runs / key, self.cache, private=True)

    def list(self) -> list[RunSummary]:
        """Return all runs in the home, most recently changed first. Never raises."""
        return sorted(self._own.summaries(), key=lambda summary: summary.changed, reverse=True)

    @property
    def recorded(self) -> tuple[RunSummary, ...]:
        """The recorded runs, in no particular order; read once per process, because they do not change."""
        with _reading:
            if self._recorded not in _recorded:
                _recorded[self._recorded] = tuple(self._bundled.summaries())
            return _recorded[self._recorded]

    def recorded_like(self, recipe: Recipe) -> Sequence[RunSummary]:
        """Return the recorded runs that agree with a recipe in the `QUICK` fields, and perhaps others.

        Reading all of them takes most of a second. Until that is done, this reads only those that agree: the
        first page shows one of them, and should not wait for the others.
        """
        if self._recorded in _recorded:
            return self.recorded
        folders = map(self._recorded_folder, run_keys(self._recorded))
        return [summarise(folder, folder.files()) for folder in folders if _is_like(folder, recipe)]

    def size(self, key: str) -> int:
        """Return the bytes that a run takes on the disk."""
        return size_of(self.folder(key).files())

    def delete(self, key: str) -> None:
        """Move a run to the trash, from which `restore` brings it back until `empty_trash`.

        Raises:
            StoreError: there is no such run, it is being computed, or the disk refuses.
        """
        folder = self.folder(key)
        if not folder.exists:
            raise StoreError(f"There is no run {key} to delete.")
        try:
            # The lock keeps a run from starting while its folder moves.
            with folder.lock(), atomic_files.store_errors(self.trash):
                disk.make_private(self.trash)
                shutil.rmtree(self.trash / key, ignore_errors=True)  # an earlier deletion of the same run
                folder.path.rename(self.trash / key)
        except Timeout:
            raise StoreError(f"The run {key} is being computed. Cancel it first, then delete it.") from None

    def restore(self, key: str) -> None:
        """Move a run back out of the trash.

        Raises:
            StoreError: the run is no longer in the trash, was computed again, or the disk refuses.
        """
        deleted, folder = self.trash / key, self.folder(key)
        if not deleted.is_dir():
            raise StoreError(
                f"The run {key} is no longer in the trash: it was permanently deleted when the app restarted."
            )
        if folder.exists:
            raise StoreError(
                f"The run {key} was computed again after it was deleted, so there is nothing to restore."
            )
        with atomic_files.store_errors(folder.path):
            deleted.rename(folder.path)

    def empty_trash(self) -> None:
        """Permanently delete the runs in the trash, and what processes that were killed left half written a
        day ago or earlier; ignore what cannot be deleted.
        """
        for name in run_keys(self.trash):
            # `delete` leaves its lock. Without one it is no run: the home may hold other directories, too.
            if (self.trash / name / "lock").exists():
                shutil.rmtree(self.trash / name, ignore_errors=True)
        with suppress(OSError):  # something else is in it, or there is none
            self.trash.rmdir()
        for path in (*self.runs.glob(LEFTOVERS), *(self.home / "models").glob(LEFTOVERS)):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DAY:  # a younger one may still be written
                    disk.delete(path)

    def label(self, key: str, label: Label) -> None:
        """Write the label of a run in the home.

        Raises:
            StoreError: there is no such run in the home, or the disk refuses.
        """
        folder = self.folder(key)
        if not folder.exists:
            raise StoreError(
                f"There is no run {key} that can be named. Runs that came with Prunescope cannot be named."
            )
        plain_files.make_way(folder.label_path)
        atomic_files.write(folder.label_path, label.model_dump_json(indent=1).encode())

    def check_writable(self) -> None:
        """Check that a run can be started.

        Raises:
            StoreError: the home cannot be written, or its disk is almost full.
        """
        atomic_files.check_writable(self.runs, private=True)

    def _recorded_folder(self, key: str) -> RunFolder:
        return RunFolder(self._recorded / key, self.cache, recorded=True)


def _is_like(folder: RunFolder, recipe: Recipe) -> bool:
    """Return whether the recipe in a recorded run's folder, unchecked, agrees in the `QUICK` fields."""
    try:
        fields = json.loads(plain_files.read(folder.recipe_path))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and all(
        name not in fields or fields[name] == getattr(recipe, name) for name in QUICK
    )


DAY = 86_400.0  # seconds
ACTIVE = ("queued", "running")


def older_than(runs: Iterable[RunSummary], days: float, now: float) -> list[RunSummary]:
    """Return the deletable runs that have not changed for this many days, the oldest first.

    Args:
        now: seconds since 1970.
    """
    old = [run for run in _deletable(runs) if now - run.changed > days * DAY]
    return sorted(old, key=lambda run: run.changed)


def largest_until(runs: Iterable[RunSummary], limit: int) -> list[RunSummary]:
    """Return the largest deletable runs, as many as must go for all others to take at most `limit` bytes, or
    all of them if that is not enough.
    """
    runs = list(runs)
    total, chosen = sum(run.size for run in runs), []
    # Largest first, so that as few runs as possible are deleted.
    for run in sorted(_deletable(runs), key=lambda run: run.size, reverse=True):
        if total <= limit:
            break
        chosen.append(run)
        total -= run.size
    return chosen


def _deletable(runs: Iterable[RunSummary]) -> list[RunSummary]:
    return [run for run in runs if not (run.recorded or run.label.pinned or run.state in ACTIVE)]
