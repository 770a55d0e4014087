"""A run as a folder: recipe.json, events.jsonl, record.json, blocks/, a `lock` held while computed, a
`cancel` marker.

The state of a run is derived, never stored: what the last event says, if it ends the run; else running while
a process holds the lock; else interrupted. So a process that dies leaves no run that only looks alive. Only
the holder of the lock writes (and a `cancel` marker, which anyone may leave). Readers follow events.jsonl by
offset and ignore a last line that is not yet whole.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from torch import Tensor

from engine.errors import StoreError
from engine.events import Event, from_line, to_line
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files
from engine.store.blocks import Blocks

F = TypeVar("F", bound=BaseModel)

Signature = tuple[int, int, int] | None
"""Inode, size and time of the events file: what changes when a run moves on. None where there is no such
file.
"""


class RunFolder:
    """One run on the disk, which need not be there yet. `kept` are its pruned blocks by index, `cache` is
    what runs share (None: nothing).

    A `recorded` run came with the project: it is only read, and most have no blocks.
    """

    def __init__(self, path: Path | str, cache: Path | None = None, *, recorded: bool = False) -> None:
        self.path = Path(path)
        self.cache = cache
        self.recorded = recorded
        self.recipe_path = self.path / "recipe.json"
        self.events_path = self.path / "events.jsonl"
        self.record_path = self.path / "record.json"
        self.cancel_path = self.path / "cancel"
        self.label_path = self.path / "label.json"
        self.kept = Blocks(self.path / "blocks")

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def imported(self) -> bool:
        """Whether it was computed elsewhere and taken in as numbers alone."""
        return (self.path / "imported").is_file()

    @property
    def has_weights(self) -> bool:
        """Whether pruned blocks are there: without them a run can be watched, but its model cannot be used."""
        return self.kept.path(0).is_file()

    def require_weights(self) -> None:
        """Make sure that the pruned model can be put together.

        Raises:
            StoreError: the run is not finished, or was recorded without its weights.
        """
        state = self.record().state
        if state != "finished":
            raise StoreError(
                f"The run {self.key} is {state}, so there is no pruned model yet. Finish it first."
            )
        if not self.has_weights:
            raise StoreError(
                "This run is here as numbers alone, without its weights. Compute it here first; the result is the same."
            )

    def recipe(self) -> Recipe:
        """The recipe.

        Raises:
            StoreError: it is missing or damaged.
        """
        return self.read(self.recipe_path, Recipe)

    def read(self, path: Path, kind: type[F]) -> F:
        """One of the folder's JSON files.

        Raises:
            StoreError: it is missing or damaged.
        """
        try:
            return kind.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise self.damaged(f"its {path.name} {what}") from error

    def damaged(self, what: str) -> StoreError:
        """The error that says what is wrong with this folder."""
        return StoreError(f"The run {self.key} is damaged: {what}. Compute it again, or delete it.")

    def events(self) -> list[Event]:
        """All events so far, in order.

        Raises:
            StoreError: a line is damaged.
        """
        return self.events_from(0)[0]

    def events_from(self, offset: int) -> tuple[list[Event], int]:
        """The whole events behind a byte offset, and the offset behind them.

        Raises:
            StoreError: a line is damaged.
        """
        try:
            with self.events_path.open("rb") as file:
                file.seek(offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise self.damaged(f"its events cannot be read ({error.strerror})") from error
        try:
            return [from_line(line) for line in whole.split(b"\n") if line], offset + len(whole) + len(
                newline
            )
        except ValidationError as error:
            raise self.damaged("its events cannot be read") from error

    def signature(self) -> Signature:
        """Changes whenever something is written to the events."""
        try:
            status = self.events_path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def record(self) -> RunRecord:
        """The fold of the events, with the derived state.

        Raises:
            StoreError: the events are damaged.
        """
        return self.derived(RunRecord.fold(self.events()))

    def derived(self, record: RunRecord) -> RunRecord:
        """A fold of this folder's events with the state that follows from who holds the lock."""
        if record.state not in ("empty", "running"):
            return record
        if self.locked:
            return record.model_copy(update={"state": "running"})
        reason = f"The process that computed this run is gone. {prospect(record)}"
        return record.model_copy(update={"state": "interrupted", "error": reason})

    def masks(self, blocks: str) -> dict[str, Tensor]:
        """The mask `[out, in]` of each linear, True = kept, by its path in the model.

        Args:
            blocks: path of the list of blocks in the model, for instance `model.layers`.

        Raises:
            StoreError: a block is damaged.
        """
        return {
            f"{blocks}.{index}.{name}": one.keep
            for index in self.kept
            for name, one in self.kept[index].items()
        }

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    # Writing: for the holder of the lock.

    def create(self, recipe: Recipe) -> bool:
        """Make the folder with its recipe, in one step; whether it was not there before.

        Raises:
            StoreError: the disk refuses; nothing is left behind.
        """
        if self.recipe_path.exists():
            return False
        fresh = self.path.with_name(f".{self.key}.{uuid.uuid4().hex}{atomic_files.TEMPORARY}")
        with atomic_files.said(self.path):
            try:
                fresh.mkdir(parents=True)
                atomic_files.write(fresh / self.recipe_path.name, recipe.model_dump_json(indent=1).encode())
                fresh.rename(self.path)
                return True
            except OSError:
                if not self.exists:  # else another process was quicker
                    raise
                return False
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

    def append(self, event: Event) -> None:
        """Add an event.

        Raises:
            StoreError: the disk refuses; the events are as they were.
        """
        atomic_files.append(self.events_path, to_line(event).encode() + b"\n")

    def end(self, event: Event) -> RunRecord:
        """Add the event that ends the run, and write its record.

        Raises:
            StoreError: the disk refuses the event. A record that it refuses is left out: the events say the
                same.
        """
        self.append(event)
        record = RunRecord.fold(self.events())
        with suppress(StoreError):
            atomic_files.write(self.record_path, record.model_dump_json(indent=1).encode())
        return record

    def remove(self) -> None:
        """Delete the folder: out of sight in one step, then piece by piece.

        Raises:
            StoreError: the disk refuses.
        """
        gone = self.path.with_name(f".{self.key}.{uuid.uuid4().hex}{atomic_files.TEMPORARY}")
        with atomic_files.said(self.path):
            self.path.rename(gone)
            shutil.rmtree(gone)

    # The lock and the cancel marker.

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:
        """Hold the run for writing; `timeout` in seconds.

        Raises:
            Timeout: another process holds it.
            StoreError: the lock cannot be written.
        """
        held = FileLock(self.path / "lock", timeout=timeout, thread_local=False)
        try:
            held.acquire()
        except Timeout:
            raise
        except OSError as error:
            raise atomic_files.refusal(self.path, error) from error
        try:
            yield
        finally:
            held.release()

    @property
    def locked(self) -> bool:
        """Whether some process computes the run now."""
        if not os.access(self.path / "lock", os.W_OK):
            return False
        try:
            with self.lock():
                return False
        except Timeout:
            return True
        except StoreError:
            return False

    def request_cancel(self) -> None:
        """Ask the process that computes the run to stop behind the block it is at. Best effort on a full
        disk.
        """
        with suppress(OSError):
            self.cancel_path.touch()

    def clear_cancel(self) -> None:
        with suppress(OSError):
            self.cancel_path.unlink(missing_ok=True)

    @property
    def cancel_requested(self) -> bool:
        return self.cancel_path.exists()


def prospect(record: RunRecord) -> str:
    """What trying a run again will do, in a sentence."""
    if not record.blocks:
        return "No block was finished yet, so trying again starts from the beginning."
    return f"Trying again goes on behind block {len(record.blocks)}."
