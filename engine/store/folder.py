"""A run as a folder: recipe.json, events.jsonl with its checksums in events.crc32, record.json, blocks/, a
`lock` file and a `cancel` marker.

The state of a run is derived, never stored: the last event's, if that ends the run; else running while a
process holds the lock; else interrupted. So a process that dies leaves no run that only looks alive. Only the
holder of the lock writes (except for the `cancel` marker, which any process may create). Readers follow
events.jsonl by byte offset and ignore an incomplete last line.

Whatever happened to the files, reading them raises nothing but a StoreError that says what is damaged.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel

from engine.errors import StoreError
from engine.events import BlockPruned, Event, RunStarted, from_line, to_line
from engine.hardware import disk
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files, event_log, plain_files
from engine.store.blocks import Blocks

F = TypeVar("F", bound=BaseModel)

Files = tuple[tuple[str, int, int, int], ...]
"""Name, bytes, and time of the last change of content and of status (ns) of each file and directory."""

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

    PACKED_EVENTS = "events.jsonl.gz"
    """The name of the events of a bundled run that are stored compressed."""
    IMPORTED = "imported"
    """The file that marks an imported run; holds the name of the file that it was imported from."""

    def __init__(
        self, path: Path | str, cache: Path | None = None, *, recorded: bool = False, private: bool = False
    ) -> None:
        self.path = Path(path)
        self.cache = cache
        self.recorded = recorded
        self.private = private
        self.recipe_path = self.path / "recipe.json"
        self.events_path = self.path / "events.jsonl"
        if recorded and os.path.isfile(packed := self.path / self.PACKED_EVENTS):
            self.events_path = packed
        self.checksums_path = self.path / "events.crc32"
        self.record_path = self.path / "record.json"
        self.cancel_path = self.path / "cancel"
        self.label_path = self.path / "label.json"
        self.blocks = Blocks(self.path / "blocks")

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return os.path.isdir(self.path)  # unlike `Path.is_dir`, False where access is denied

    @property
    def imported(self) -> bool:
        """Whether the run was computed elsewhere and imported as results without weights."""
        return os.path.isfile(self.path / self.IMPORTED)

    @property
    def has_weights(self) -> bool:
        """Whether there are pruned blocks; without them a run can be replayed, but not its model used."""
        return os.path.isfile(self.blocks.path(0))  # blocks are written first to last

    def require_weights(self) -> None:
        """Check that the pruned model can be restored.

        Raises:
            StoreError: the run is not finished, or is stored without its weights.
        """
        state = self.checked_record().state
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

    def known_recipe(self) -> Recipe | None:
        """Return the recipe, None if its file is missing or damaged."""
        try:
            return self.recipe()
        except StoreError:
            return None

    def read(self, path: Path, kind: type[F]) -> F:
        """Read one of the folder's JSON files.

        Raises:
            StoreError: the file is missing or damaged.
        """
        try:
            return kind.model_validate_json(plain_files.read(path))
        except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise self.damaged(f"its {path.name} {what}") from error

    def damaged(self, what: str) -> StoreError:
        """Return the error that says what is damaged in this folder."""
        return StoreError(f"The run {self.key} is damaged: {what}. Compute it again, or delete it.")

    def events(self) -> list[Event]:
        """Return all events so far, in order.

        Raises:
            StoreError: they are damaged.
        """
        # First: a checksum that is written in between would cover more events than were read.
        checksums = self.content(self.checksums_path)
        content = self.content(self.events_path)
        lines, length = event_log.complete_lines(content)
        try:
            events = event_log.read_events(lines, timed=not self.imported)
        except ValueError as error:
            raise self.damaged(str(error)) from error
        if not event_log.is_intact(content, checksums):
            raise self.damaged("its events were changed after they were written")
        if events and events[-1].ends and length < len(content):
            raise self.damaged("something follows the end of its events")
        return events

    def sound_events(self) -> list[tuple[bytes, Event]]:
        """Return the events before the first that is damaged, each with its line."""
        try:
            checksums, content = self.content(self.checksums_path), self.content(self.events_path)
        except StoreError:
            return []
        lines, _ = event_log.complete_lines(event_log.intact_part(content, checksums))
        return event_log.sound_beginning(lines, timed=not self.imported)

    def content(self, path: Path) -> bytes:
        """Return the content of one of the folder's files; nothing if there is no such file.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return plain_files.read(path)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self.damaged(f"its {path.name} cannot be read ({error.strerror})") from error

    def events_from(self, offset: int) -> tuple[list[Event], int]:
        """Return the complete events after a byte offset, and the offset after them.

        Raises:
            StoreError: a line is damaged.
        """
        try:
            lines, length = event_log.complete_lines(plain_files.read(self.events_path, offset))
            return [from_line(line) for line in lines], offset + length
        except FileNotFoundError:
            return [], 0
        except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            raise self.damaged("its events cannot be read") from error

    def fold(self, events: Sequence[Event], record: RunRecord = RunRecord()) -> RunRecord:  # noqa: B008  (frozen)
        """Return the record after some more events.

        Raises:
            StoreError: no run writes such events.
        """
        try:
            if events and record.recipe is None and not isinstance(events[0], RunStarted):
                raise ValueError("the run has not been started")
            return record.after(events)
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            raise self.damaged("its events contradict each other") from error

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
        return self.with_derived_state(self.fold(self.events()))

    def with_derived_state(self, record: RunRecord) -> RunRecord:
        """Return a fold of this folder's events with its state derived from the lock."""
        if record.state not in ("empty", "running"):
            return record
        if self.locked:
            return record.model_copy(update={"state": "running"})
        # Without an end and without a lock: its process was killed, or the machine went down.
        reason = f"The process that computed this run is gone. {retry_hint(record)}"
        return record.model_copy(update={"state": "interrupted", "error": reason})

    def checked_record(self) -> RunRecord:
        """Return the record after checking the whole folder.

        A folder that a crash left is not damaged: its events simply stop, and a retry resumes after the last
        complete block. Damage is what no crash leaves: an unreadable file, events that were changed, a record
        whose events have no end, an ended run whose blocks are missing. Blocks are checked by length only.

        Raises:
            StoreError: the folder is damaged; the sentence says how.
        """
        recipe, events = self.recipe(), self.events()
        has_record = os.path.lexists(self.record_path) and bool(self.read(self.record_path, RunRecord))
        record = self.fold(events)
        if not (events and events[-1].ends):
            if has_record:
                raise self.damaged("the end of its events is missing")
            return self.with_derived_state(record)
        # A store finds a run by its key, so another run's events would answer for this one.
        if (self.private or self.recorded) and record.key != self.key:
            raise self.damaged(f"its events are those of the run {record.key}")
        # Where a model is kept may differ between two attempts at the same run, and where files are.
        moved: dict[str, object] = {"residence": recipe.residence, "method_files": recipe.method_files}
        if record.recipe and record.recipe.model_identity == recipe.model_identity:
            moved |= {"model": recipe.model}
        computed = record.recipe and record.recipe.model_copy(update=moved)
        if computed != recipe:
            raise self.damaged("its recipe.json is not the recipe that was computed")
        if self.has_weights or not (self.recorded or self.imported):  # those may be results only
            for block in record.blocks:
                if not self.blocks.has_full_length(block.index):
                    raise self.damaged(f"its block {block.index} is missing or unreadable")
        return record

    def damage(self) -> str | None:
        """Return a sentence about what is damaged in this folder, or None; see `checked_record`."""
        try:
            self.checked_record()
        except StoreError as error:
            return str(error)
        return None

    def is_finished(self) -> bool:
        """Return whether the run exists, is finished, and is undamaged."""
        try:
            return self.exists and self.checked_record().state == "finished"
        except StoreError:
            return False

    def files(self) -> Files:
        """Return the folder's files; see `list_files`."""
        return list_files(self.path)

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
        """Append an event, and a checksum after those at which a run may stop.

        Raises:
            StoreError: the disk refuses; the events stay as they were.
        """
        atomic_files.append(self.events_path, to_line(event).encode() + b"\n")
        if event.ends or isinstance(event, BlockPruned):
            # Without the last checksum, those before it still cover what they did.
            with suppress(StoreError):
                line = event_log.checksum(self.content(self.events_path))
                atomic_files.append(self.checksums_path, line)

    def rewind(self, events: bytes) -> None:
        """Go back to the first events, without an end of the run.

        Raises:
            StoreError: the disk refuses.
        """
        # The record and the checksums go first: without them a crash in the middle of this leaves an
        # interrupted run, not a damaged one.
        with atomic_files.store_errors(self.path):
            for path in (self.record_path, self.checksums_path, self.cancel_path):
                plain_files.make_way(path)
                path.unlink(missing_ok=True)
            for path in (self.recipe_path, self.events_path):
                plain_files.make_way(path)
        # The file gets a new inode, by which every `Tail` sees that it has to start over.
        atomic_files.write(self.events_path, events)
        if events:
            atomic_files.write(self.checksums_path, event_log.checksum(events))

    def end(self, event: Event) -> RunRecord:
        """Append the event that ends the run, then write and return its record.

        Raises:
            StoreError: the disk refuses the event. If it refuses the record, the record is left out: the
                events hold the same information.
        """
        # The event first: a record whose events have no end counts as damage.
        self.append(event)
        record = self.fold(self.events())
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
        path = self.path / "lock"
        plain_files.make_way(path)
        lock = FileLock(path, timeout=timeout, thread_local=False)
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
        path = self.path / "lock"
        if not (os.path.isfile(path) and os.access(path, os.W_OK)):
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


def list_files(path: Path | str) -> Files:
    """Return the files of a run folder; whatever happens to one of them changes this value.

    The lock is left out, because its time means nothing.
    """
    files = _entries(path)
    if any(name == "blocks" for name, *_ in files):
        files += _entries(os.path.join(path, "blocks"))
    return tuple(sorted(files))


def _entries(directory: Path | str) -> list[tuple[str, int, int, int]]:
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name != "lock":
                    # Not that of a link's target, which may be the link itself.
                    status = entry.stat(follow_symlinks=False)
                    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
                    found.append((entry.name, size, status.st_mtime_ns, status.st_ctime_ns))
    except OSError:  # deleted meanwhile
        pass
    return found


def retry_hint(record: RunRecord) -> str:
    """Return a sentence that says where a retry of the run would resume."""
    if not record.blocks:
        return "No block was finished yet, so a retry starts from the beginning."
    return f"A retry resumes after block {len(record.blocks)}."
