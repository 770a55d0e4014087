"""All runs of a home directory: HOME/runs/KEY, HOME being PRUNESCOPE_HOME or the platform's data directory.
Behind them stand the recorded runs, which come with the project (assets/recorded/KEY) and are only read:
where both have a run, the home's own is meant.

There is no index that could be wrong: a list is made from the folders, and only what changed since the last
list is read again. Folders that cannot be read are listed as damaged, with the reason; a list never fails
because of one.

What a person says of a run: a name, a note, and whether it is to be kept. It stands beside the run and is no
part of its result.

Freeing space: which runs would go, by age or by size. Pinned runs and those that are going on never do.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout
from platformdirs import user_data_dir
from pydantic import Field, ValidationError

from engine.errors import StoreError
from engine.events import Facts
from engine.models.identity import ROOT
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files, repair
from engine.store.folder import RunFolder

NAME, NOTE = 120, 4_000  # letters at most


class Label(Facts):
    """A run's label; `pinned` runs are never deleted to free space."""

    name: str = Field(default="", max_length=NAME)
    note: str = Field(default="", max_length=NOTE)
    pinned: bool = False


def read_label(path: Path) -> Label:
    """The label in a file; an empty one where there is none that can be read."""
    try:
        return Label.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Label()


def write_label(path: Path, label: Label) -> None:
    """Keep a label.

    Raises:
        StoreError: the disk refuses.
    """
    atomic_files.write(path, label.model_dump_json(indent=1).encode())


RunState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted", "damaged"]
KEY = re.compile(r"[\w-]+")
UNLABELLED = Label()
RECORDED = ROOT / "assets" / "recorded"

_Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line of the list of runs.

    Attributes:
        message: why the run failed, was interrupted or is damaged.
        size: bytes on the disk.
        changed: when something was last written, seconds since 1970.
        recorded: whether it came with the project.
        imported: whether it was computed elsewhere and taken in.
        label: what a person says of it.
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
        """Its name, the recipe in a few words, or the key where it cannot be read."""
        if self.label.name:
            return self.label.name
        return self.recipe.title if self.recipe else self.key


class Store:
    """The runs below `home`, an absolute path, and the `recorded` ones behind them. Nothing is written until
    a run is.
    """

    def __init__(self, home: Path | str | None = None, recorded: Path = RECORDED) -> None:
        chosen = home or os.environ.get("PRUNESCOPE_HOME") or user_data_dir("prunescope")
        self.home = Path(chosen).expanduser().absolute()
        self.runs = self.home / "runs"
        self.trash = self.home / "trash"
        self.cache = self.home / "cache"
        self._recorded = recorded
        self._seen: dict[str, tuple[_Fingerprint, RunSummary]] = {}

    def find(self, key: str) -> RunFolder:
        """The folder that a run is read from: its own, or the one that came with the project.

        Raises:
            StoreError: no run can have this key.
        """
        own, recorded = self.folder(key), RunFolder(self._recorded / key, self.cache, recorded=True)
        return recorded if recorded.exists and not own.exists else own

    def folder(self, key: str) -> RunFolder:
        """The folder of a run of one's own, which need not be there.

        Raises:
            StoreError: no run can have this key.
        """
        if not KEY.fullmatch(key):
            raise StoreError(f"There is no run {key!r}: a key is made of letters and digits.")
        return RunFolder(self.runs / key, self.cache)

    def list(self) -> list[RunSummary]:
        """All runs of one's own, the last changed first. Never raises."""
        names = _folders(self.runs)
        self._seen = {name: self._seen[name] for name in names if name in self._seen}
        summaries = [self._summary(self.folder(name)) for name in names]
        return sorted(summaries, key=lambda summary: summary.changed, reverse=True)

    @cached_property
    def recorded(self) -> tuple[RunSummary, ...]:
        """The runs that came with the project, in no order. They do not change, so they are read once."""
        folders = [RunFolder(self._recorded / name, recorded=True) for name in _folders(self._recorded)]
        return tuple(_summarise(folder, _fingerprint(folder.path)) for folder in folders)

    def size(self, key: str) -> int:
        """Bytes that a run takes on the disk."""
        return sum(size for _, size, _ in _fingerprint(self.folder(key).path))

    def delete(self, key: str) -> None:
        """Put a run into the trash, from which `restore` takes it back until `empty_trash`.

        Raises:
            StoreError: there is none, it is being computed, or the disk refuses.
        """
        folder = self.folder(key)
        if not folder.exists:
            raise StoreError(f"There is no run {key} to delete.")
        try:
            with folder.lock(), atomic_files.said(self.trash):
                self.trash.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(self.trash / key, ignore_errors=True)
                folder.path.rename(self.trash / key)
        except Timeout:
            raise StoreError(f"The run {key} is being computed. Cancel it first, then delete it.") from None

    def restore(self, key: str) -> None:
        """Take a run back out of the trash.

        Raises:
            StoreError: it is not there any more, was computed anew meanwhile, or the disk refuses.
        """
        gone, folder = self.trash / key, self.folder(key)
        if not gone.is_dir():
            raise StoreError(
                f"The run {key} is not in the trash any more; it was deleted for good when the app started anew."
            )
        if folder.exists:
            raise StoreError(
                f"The run {key} was computed again since it was deleted, so there is nothing to take back."
            )
        with atomic_files.said(folder.path):
            gone.rename(folder.path)

    def empty_trash(self) -> None:
        """Delete for good what is in the trash; what cannot be deleted stays."""
        shutil.rmtree(self.trash, ignore_errors=True)

    def label(self, key: str, label: Label) -> None:
        """Say something of a run of one's own.

        Raises:
            StoreError: there is no such run here, or the disk refuses.
        """
        folder = self.folder(key)
        if not folder.exists:
            raise StoreError(
                f"There is no run {key} here that could be named. Runs that came with Prunescope cannot be."
            )
        write_label(folder.label_path, label)

    def check_writable(self) -> None:
        """Make sure that a run can be begun.

        Raises:
            StoreError: the home cannot be written, or has next to no room left.
        """
        atomic_files.check_writable(self.runs)

    def _summary(self, folder: RunFolder) -> RunSummary:
        found = _fingerprint(folder.path)
        known = self._seen.get(folder.key)
        unsettled = known is not None and known[1].state in (
            "running",
            "interrupted",
        )  # a lock leaves no trace in the files
        if known is None or known[0] != found or unsettled:
            known = (found, _summarise(folder, found))
            self._seen[folder.key] = known
        return known[1]


def _folders(directory: Path) -> list[str]:
    """Names of the run folders in a directory; none where there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if KEY.fullmatch(entry.name) and entry.is_dir()]
    except OSError:
        return []


def _summarise(folder: RunFolder, found: _Fingerprint) -> RunSummary:
    facts: dict[str, Any] = {
        "key": folder.key,
        "size": sum(item[1] for item in found),
        "recorded": folder.recorded,
    }
    facts["changed"] = (
        max((time for name, _, time in found if name != folder.label_path.name), default=0) / 1e9
    )
    facts |= {
        "has_weights": folder.has_weights,
        "imported": folder.imported,
        "label": read_label(folder.label_path),
    }
    try:
        wrong = None if folder.recorded else repair.damage(folder)  # which reads all of it once more
        if wrong is None:
            record = folder.record()
            state: RunState = "running" if record.state == "empty" else record.state
            return RunSummary(
                **facts, state=state, message=record.error, recipe=folder.recipe(), record=record
            )
    except (
        StoreError,
        OSError,
        ValueError,
    ) as error:  # it changed under our eyes, or holds what nobody foresaw
        wrong = str(error)
    return RunSummary(**facts, state="damaged", message=wrong)


def _fingerprint(path: Path) -> _Fingerprint:
    """Name, size and time of every file of a run but the lock, whose time says nothing."""
    found = []
    for directory in (path, path / "blocks"):
        try:
            with os.scandir(directory) as entries:
                statuses = [
                    (entry.name, entry.stat())
                    for entry in entries
                    if entry.is_file() and entry.name != "lock"
                ]
        except OSError:
            continue
        found += [(name, status.st_size, status.st_mtime_ns) for name, status in statuses]
    return tuple(sorted(found))


DAY = 86_400.0
GOING_ON = ("queued", "running")


def older_than(runs: Iterable[RunSummary], days: float, now: float) -> list[RunSummary]:
    """The runs that nobody has changed for so many days; `now` in seconds since 1970. The oldest first."""
    return sorted((run for run in _free(runs) if now - run.changed > days * DAY), key=lambda run: run.changed)


def largest_until(runs: Iterable[RunSummary], limit: int) -> list[RunSummary]:
    """The largest runs, as many as it takes until all that are left have at most `limit` bytes; fewer where
    the rest may not go.
    """
    everything = list(runs)
    total, found = sum(run.size for run in everything), []
    for run in sorted(_free(everything), key=lambda run: run.size, reverse=True):
        if total <= limit:
            break
        found.append(run)
        total -= run.size
    return found


def _free(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs that may go."""
    return [run for run in runs if not (run.recorded or run.label.pinned or run.state in GOING_ON)]
