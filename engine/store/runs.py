"""All runs of a home directory: HOME/runs/KEY, HOME being PRUNESCOPE_HOME or the platform's data directory.
The recorded runs, which are bundled with the project (assets/recorded/KEY), are read-only; if both have a
run of the same key, the home's own is used.

There is no index that could be wrong: the list is made from the folders, and only folders that changed since
the last list are read again. A folder that cannot be read is listed as damaged, with the reason; a list never
fails because of one.

A label (name, note, pin) is what the user says about a run. It is stored with the run, but is not part of the
result. `older_than` and `largest_until` choose what to delete to free space; they never choose a pinned,
recorded, queued or running run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout
from pydantic import Field, ValidationError

from engine.errors import StoreError
from engine.events import Facts
from engine.hardware import disk
from engine.hardware.home import home as default_home
from engine.models.identity import ROOT
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files
from engine.store.folder import RunFolder

NAME, NOTE = 120, 4_000  # characters at most


class Label(Facts):
    """A run's label; `pinned` runs are never deleted to free space."""

    name: str = Field(default="", max_length=NAME)
    note: str = Field(default="", max_length=NOTE)
    pinned: bool = False


RunState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted", "damaged"]
# Without dots: a key cannot leave the directory, and hidden temporary folders are no runs. Keys have 20
# letters; no file system takes names without a limit.
KEY = re.compile(r"[\w-]{1,100}")
UNLABELLED = Label()
RECORDED = ROOT / "assets" / "recorded"

_Fingerprint = tuple[tuple[str, int, int], ...]  # name, bytes and modification time (ns) of each file


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One entry of the list of runs.

    Attributes:
        message: why the run failed, was interrupted or is damaged.
        size: bytes on the disk.
        changed: when the run last changed, seconds since 1970; changing its label does not count.
        recorded: whether it is bundled with the project.
        imported: whether it was computed elsewhere and imported.
        has_weights: whether its pruned model can be used.
    """

    key: str
    state: RunState
    message: str | None = None
    recipe: Recipe | None = None
    record: RunRecord | None = None
    size: int = 0
    changed: float = 0.0
    recorded: bool = False
    imported: bool = False
    label: Label = UNLABELLED
    has_weights: bool = False

    @property
    def title(self) -> str:
        """The label's name, else the recipe in a few words, else the key."""
        if self.label.name:
            return self.label.name
        return self.recipe.title if self.recipe else self.key


class Store:
    """The runs in `home` and the recorded ones. No directory is created until a run is written."""

    def __init__(self, home: Path | str | None = None, recorded: Path = RECORDED) -> None:
        self.home = Path(home).expanduser().absolute() if home else default_home()
        self.runs = self.home / "runs"
        self.trash = self.home / "trash"
        self.cache = self.home / "cache"
        self._recorded = recorded
        self._known: dict[str, tuple[_Fingerprint, RunSummary]] = {}  # what the last list has read, by key

    def find(self, key: str) -> RunFolder:
        """Return the folder to read a run from: the home's own, else the recorded one.

        Raises:
            StoreError: no run can have this key.
        """
        own, recorded = self.folder(key), RunFolder(self._recorded / key, self.cache, recorded=True)
        return recorded if recorded.exists and not own.exists else own

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
        names = _folders(self.runs)
        # Forgets deleted runs.
        self._known = {name: self._known[name] for name in names if name in self._known}
        summaries = [self._summary(self.folder(name)) for name in names]
        return sorted(summaries, key=lambda summary: summary.changed, reverse=True)

    @cached_property
    def recorded(self) -> tuple[RunSummary, ...]:
        """The recorded runs, in no particular order; read once, because they do not change."""
        folders = [RunFolder(self._recorded / name, recorded=True) for name in _folders(self._recorded)]
        return tuple(_summarise(folder, _fingerprint(folder.path)) for folder in folders)

    def size(self, key: str) -> int:
        """Return the bytes that a run takes on the disk."""
        return sum(size for _, size, _ in _fingerprint(self.folder(key).path))

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
        """Permanently delete the runs in the trash; ignore what cannot be deleted."""
        for name in _folders(self.trash):
            # `delete` leaves its lock. Without one it is no run: the home may hold other directories, too.
            if (self.trash / name / "lock").exists():
                shutil.rmtree(self.trash / name, ignore_errors=True)
        with suppress(OSError):  # something else is in it, or there is none
            self.trash.rmdir()

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
        atomic_files.write(folder.label_path, label.model_dump_json(indent=1).encode())

    def check_writable(self) -> None:
        """Check that a run can be started.

        Raises:
            StoreError: the home cannot be written, or its disk is almost full.
        """
        atomic_files.check_writable(self.runs, private=True)

    def _summary(self, folder: RunFolder) -> RunSummary:
        fingerprint = _fingerprint(folder.path)
        known = self._known.get(folder.key)
        # Taking or losing the lock changes no file, so these two states are always derived again.
        unsettled = known is not None and known[1].state in ("running", "interrupted")
        if known is None or known[0] != fingerprint or unsettled:
            known = (fingerprint, _summarise(folder, fingerprint))
            self._known[folder.key] = known
        return known[1]


def _folders(directory: Path) -> list[str]:
    """Return the names of the run folders in a directory; none if there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if KEY.fullmatch(entry.name) and entry.is_dir()]
    except OSError:
        return []


def _summarise(folder: RunFolder, fingerprint: _Fingerprint) -> RunSummary:
    times = [time for name, _, time in fingerprint if name != folder.label_path.name]
    facts: dict[str, Any] = {
        "key": folder.key,
        "size": sum(size for _, size, _ in fingerprint),
        "changed": max(times, default=0) / 1e9,
        "recorded": folder.recorded,
        "has_weights": folder.has_weights,
        "imported": folder.imported,
        "label": _read_label(folder.label_path),
    }
    try:
        # Recorded runs are checked by a test; checking means to parse all events a second time.
        problem = None if folder.recorded else folder.damage()
        if problem is None:
            record = folder.record()
            state: RunState = "running" if record.state == "empty" else record.state
            return RunSummary(
                **facts, state=state, message=record.error, recipe=folder.recipe(), record=record
            )
    except (StoreError, OSError, ValueError) as error:  # it changed meanwhile, or in an unforeseen way
        problem = str(error)
    return RunSummary(**facts, state="damaged", message=problem)


def _read_label(path: Path) -> Label:
    """Return the label in a file; an empty one if there is none or it cannot be read."""
    try:
        return Label.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Label()


def _fingerprint(path: Path) -> _Fingerprint:
    """Return name, size and modification time (ns) of every file of a run except the lock, whose time means
    nothing.
    """
    found: list[tuple[str, int, int]] = []
    for directory in (path, path / "blocks"):
        try:
            with os.scandir(directory) as entries:
                files = [
                    (entry.name, entry.stat())
                    for entry in entries
                    if entry.is_file() and entry.name != "lock"
                ]
        except OSError:  # no blocks, or deleted meanwhile
            continue
        found += [(name, status.st_size, status.st_mtime_ns) for name, status in files]
    return tuple(sorted(found))


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
