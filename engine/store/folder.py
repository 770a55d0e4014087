"""A run as a folder: recipe.json, events.jsonl, record.json, blocks/, a `lock` file and a `cancel` marker.

The state of a run is derived, never stored: the last event's, if that ends the run; else running while a
process holds the lock; else interrupted. So a process that dies leaves no run that only looks alive. Only the
holder of the lock writes (except for the `cancel` marker, which any process may create). Readers follow
events.jsonl by byte offset and ignore an incomplete last line.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from engine.errors import StoreError
from engine.events import BlockPruned, Event, Finished, from_line, to_line
from engine.hardware import disk
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files
from engine.store.blocks import Blocks

F = TypeVar("F", bound=BaseModel)

Signature = tuple[int, int, int] | None
"""Inode, size and modification time of the events file; None if there is no such file."""


class RunFolder:
    """One run on the disk; the folder need not exist yet.

    Attributes:
        blocks: the pruned blocks by index.
        cache: the directory of what runs share; None to share nothing.
        recorded: whether the run is bundled with the project: it is only read, and most have no blocks.
        private: whether the directory that holds the folder is created for this user only.
    """

    def __init__(
        self, path: Path | str, cache: Path | None = None, *, recorded: bool = False, private: bool = False
    ) -> None:
        self.path = Path(path)
        self.cache = cache
        self.recorded = recorded
        self.private = private
        self.recipe_path = self.path / "recipe.json"
        self.events_path = self.path / "events.jsonl"
        self.record_path = self.path / "record.json"
        self.cancel_path = self.path / "cancel"
        self.label_path = self.path / "label.json"
        self.blocks = Blocks(self.path / "blocks")

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def imported(self) -> bool:
        """Whether the run was computed elsewhere and imported as results without weights."""
        return (self.path / "imported").is_file()  # holds the name of the file it was imported from

    @property
    def has_weights(self) -> bool:
        """Whether there are pruned blocks; without them a run can be replayed, but not its model used."""
        return self.blocks.path(0).is_file()  # blocks are written first to last, so the first stands for all

    def require_weights(self) -> None:
        """Check that the pruned model can be restored.

        Raises:
            StoreError: the run is not finished, or is stored without its weights.
        """
        state = self.record().state
        if state != "finished":
            raise StoreError(
                f"The run {self.key} is {state}, so there is no pruned model yet. Finish it first."
            )
        if not self.has_weights:
            raise StoreError(
                "This run is stored without its weights. Compute it here first; the result is the same."
            )

    def recipe(self) -> Recipe:
        """Return the recipe.

        Raises:
            StoreError: its file is missing or damaged.
        """
        return self.read(self.recipe_path, Recipe)

    def read(self, path: Path, kind: type[F]) -> F:
        """Read one of the folder's JSON files.

        Raises:
            StoreError: the file is missing or damaged.
        """
        try:
            return kind.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise self.damaged(f"its {path.name} {what}") from error

    def damaged(self, what: str) -> StoreError:
        """Return the error that says what is damaged in this folder."""
        return StoreError(f"The run {self.key} is damaged: {what}. Compute it again, or delete it.")

    def events(self) -> list[Event]:
        """Return all events so far, in order.

        Raises:
            StoreError: a line is damaged.
        """
        return self.events_from(0)[0]

    def events_from(self, offset: int) -> tuple[list[Event], int]:
        """Return the complete events after a byte offset, and the offset after them.

        Raises:
            StoreError: a line is damaged.
        """
        try:
            with self.events_path.open("rb") as file:
                file.seek(offset)
                # After the last newline: an event that is still being written.
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise self.damaged(f"its events cannot be read ({error.strerror})") from error
        try:
            events = [from_line(line) for line in whole.split(b"\n") if line]
        except ValidationError as error:
            raise self.damaged("its events cannot be read") from error
        return events, offset + len(whole) + len(newline)

    def signature(self) -> Signature:
        """Return a value that changes whenever the events file is written."""
        try:
            status = self.events_path.stat()
        except OSError:
            return None
        # The inode, because a new attempt replaces the file, possibly by one of the same size.
        return status.st_ino, status.st_size, status.st_mtime_ns

    def record(self) -> RunRecord:
        """Return the fold of the events, with the derived state.

        Raises:
            StoreError: the events are damaged.
        """
        return self.with_derived_state(RunRecord.fold(self.events()))

    def with_derived_state(self, record: RunRecord) -> RunRecord:
        """Return a fold of this folder's events with its state derived from the lock."""
        if record.state not in ("empty", "running"):
            return record
        if self.locked:
            return record.model_copy(update={"state": "running"})
        # Without an end and without a lock: its process was killed, or the machine went down.
        reason = f"The process that computed this run is gone. {retry_hint(record)}"
        return record.model_copy(update={"state": "interrupted", "error": reason})

    def damage(self) -> str | None:
        """Return a sentence about what is damaged in this folder, or None.

        A folder that a crash left is not damaged: its events simply stop, and a retry resumes after the last
        complete block. Damage is what no crash leaves: an unreadable file, a record whose events have no end,
        an ended run whose blocks are missing. Blocks are checked by length only.
        """
        try:
            self.recipe()
            events = self.events()
            has_record = self.record_path.exists() and bool(self.read(self.record_path, RunRecord))
        except StoreError as error:
            return str(error)
        if not (events and events[-1].ends):
            return str(self.damaged("the end of its events is missing")) if has_record else None
        if (self.recorded or self.imported) and not self.has_weights:  # results without weights, as intended
            return None
        for event in events:
            if isinstance(event, BlockPruned) and not self.blocks.has_full_length(event.index):
                return str(self.damaged(f"its block {event.index} is missing or unreadable"))
        return None

    def is_finished(self) -> bool:
        """Return whether the run exists, is finished, and is undamaged."""
        if not self.exists or self.damage():
            return False
        events = self.events()
        return bool(events) and isinstance(events[-1], Finished)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    # Writing: only the holder of the lock may call these.

    def create(self, recipe: Recipe) -> bool:
        """Create the folder with its recipe in one step; return whether it did not exist before.

        Raises:
            StoreError: the disk refuses; nothing is left on it.
        """
        if self.recipe_path.exists():
            return False
        with atomic_files.store_errors(self.path):
            try:
                with disk.new_directory(self.path) as new:
                    atomic_files.write(new / self.recipe_path.name, recipe.model_dump_json(indent=1).encode())
            except OSError:
                if not self.exists:
                    raise
                return False  # another process created it in the meantime
        return True

    def append(self, event: Event) -> None:
        """Append an event.

        Raises:
            StoreError: the disk refuses; the events stay as they were.
        """
        atomic_files.append(self.events_path, to_line(event).encode() + b"\n")

    def end(self, event: Event) -> RunRecord:
        """Append the event that ends the run, then write and return its record.

        Raises:
            StoreError: the disk refuses the event. If it refuses the record, the record is left out: the
                events hold the same information.
        """
        # The event first: a record whose events have no end counts as damage.
        self.append(event)
        record = RunRecord.fold(self.events())
        with suppress(StoreError):
            atomic_files.write(self.record_path, record.model_dump_json(indent=1).encode())
        return record

    def remove(self) -> None:
        """Delete the folder: rename it to a hidden name in one step, then delete its files.

        Raises:
            StoreError: the disk refuses.
        """
        with atomic_files.store_errors(self.path), disk.temporary_name(self.path) as hidden:
            self.path.rename(hidden)
            shutil.rmtree(hidden)

    # The lock and the cancel marker.

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:
        """Hold the run's lock for writing; `timeout` in seconds.

        Raises:
            Timeout: another process holds it.
            StoreError: the lock cannot be written.
        """
        # `thread_local=False`: whichever thread leaves the `with` releases the lock.
        lock = FileLock(self.path / "lock", timeout=timeout, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise
        except OSError as error:
            raise atomic_files.store_error(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def locked(self) -> bool:
        """Whether a process is computing the run now."""
        # Acquiring would create the file, also in a bundled run, which is read-only.
        if not os.access(self.path / "lock", os.W_OK):
            return False
        try:
            # Holds the lock for a moment, which `engine.jobs.execute.PROBE` allows for.
            with self.lock():
                return False
        except Timeout:
            return True
        except StoreError:
            return False

    def request_cancel(self) -> None:
        """Ask the process that computes the run to stop after its current block.

        Does nothing if the disk refuses the marker.
        """
        with suppress(OSError):
            self.cancel_path.touch()

    def clear_cancel(self) -> None:
        with suppress(OSError):
            self.cancel_path.unlink(missing_ok=True)

    @property
    def cancel_requested(self) -> bool:
        return self.cancel_path.exists()


def retry_hint(record: RunRecord) -> str:
    """Return a sentence that says where a retry of the run would resume."""
    if not record.blocks:
        return "No block was finished yet, so a retry starts from the beginning."
    return f"A retry resumes after block {len(record.blocks)}."
