"""Importing a run from elsewhere: its record (JSON) or its events (JSON lines), results without weights.

An imported run is not ours. It is stored under a key of its own, which is made from its content and never
equals the key of a recipe, so it does not answer for the recipe that it names, and any number of runs of one
recipe exist next to each other. The key that the file states is not used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from engine import numbers
from engine.errors import StoreError
from engine.events import Event, Noted, RunStarted, to_line
from engine.hardware import disk
from engine.recipe import RESULT_VERSION, Recipe
from engine.record import IMPORTED, RunRecord, is_imported
from engine.store import atomic_files
from engine.store.event_log import checksum, read_events
from engine.store.folder import RunFolder
from engine.store.import_checks import check
from engine.store.import_file import ForeignFile
from engine.store.import_limits import MOST_BYTES
from engine.store.listing import run_keys
from engine.store.runs import Store

WANTED = "Export a run as Record (json) on Explore or Runs, or use the events.jsonl of its folder."
DIGITS = 11  # of the hash of a run in its key: 44 bits


def import_run(store: Store, content: bytes, name: str) -> str:
    """Add a run to the store and return its key.

    Args:
        content: a record as JSON, or events as JSON lines.
        name: the file's name, for messages.

    Raises:
        StoreError: the file holds no finished run, exceeds a limit of `engine.store.import_limits`, or
            contradicts itself; the run is already in the store; or the disk refuses.
    """
    name = name[:200]
    if len(content) > MOST_BYTES:
        raise StoreError(
            f"The file {name} has {numbers.size(len(content))}, but a record has at most "
            f"{numbers.size(MOST_BYTES)}. {WANTED}"
        )
    events = _parse(content, name)
    record = RunRecord.fold(events)
    assert record.recipe is not None, "a run that was checked has started"
    folder = store.folder(_key(record))
    if folder.exists or _is_here(store, record):
        raise StoreError(f"The run in {name} ({record.recipe.title}) is already here, with the same numbers.")
    store.check_writable()
    _write(folder, events, name)
    return folder.key


def set_aside(folder: RunFolder) -> None:
    """Clear the folder of a recipe from a run that an earlier version imported into it: the run gets a key of
    its own. One that cannot be read is deleted.

    Raises:
        StoreError: the disk refuses.
    """
    try:
        events = folder.events()
        readable = folder.fold(events).recipe is not None
    except StoreError:
        readable = False
    if readable:
        _move(folder, events)
    else:
        folder.remove()


def set_all_aside(store: Store) -> None:
    """Do so with all runs of the store; one that cannot be read or moved stays."""
    for key in run_keys(store.runs):
        folder = store.folder(key)
        if folder.imported and not is_imported(key):
            with suppress(StoreError):
                _move(folder, folder.events())


def _move(folder: RunFolder, events: Sequence[Event]) -> None:
    key = _key(folder.fold(events))
    moved = RunFolder(folder.path.with_name(key), folder.cache, private=folder.private)
    if not moved.exists:
        _write(moved, events, "an earlier import", folder.label_path)
    folder.remove()


def _parse(content: bytes, name: str) -> list[Event]:
    """Return the events of a file of either kind, with notes on what is peculiar about it."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise StoreError(
            f"The file {name} is not text (UTF-8), so it is neither a record nor events. {WANTED}"
        ) from error
    if not content.strip():
        raise StoreError(f"The file {name} is empty. {WANTED}")
    try:
        file = ForeignFile(content)
        check(file.events)
        read_events(_lines(file.events), timed=False)  # as the store will read them
    except ValidationError as error:
        what = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:60] for part in what["loc"]) or "its beginning"
        raise StoreError(
            f"The file {name} is neither a record nor events of this version: "
            f"{what['msg'].lower()[:200]} at {where}. {WANTED}"
        ) from error
    except ValueError as error:
        raise StoreError(f"The file {name} cannot be imported: {error}. {WANTED}") from error
    notes = [*_unknown_note(file.unknown), *_key_note(file.events)]
    end = file.events[-1]
    return [*file.events[:-1], *(Noted(elapsed=end.elapsed, message=note) for note in notes), end]


def _unknown_note(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    known = f"This version does not know {numbers.listed(names, 10)}, and leaves it out"
    return [f"This run was computed by another version of Prunescope. {known}."]


def _key_note(events: Sequence[Event]) -> list[str]:
    """Return what to say about a key that does not follow from the recipe."""
    start = events[0]
    assert isinstance(start, RunStarted), "checked"
    recipe = Recipe.model_validate(start.recipe)
    if start.key == recipe.key or is_imported(start.key):
        return []
    if any(start.key == recipe.key_in(version) for version in range(1, RESULT_VERSION)):
        return ["This run was computed by an earlier version of Prunescope, whose results may differ."]
    return [
        f"The file states the key {start.key[:40]}, but its recipe has the key {recipe.key}: it was computed "
        "by another version of Prunescope, or changed afterwards."
    ]


def _key(record: RunRecord) -> str:
    """Return the key of an imported run: a hash of its recipe, its numbers and its times."""
    assert record.recipe is not None, "it has started"
    content = record.model_copy(update={"key": record.recipe.key}).model_dump_json()
    return f"{IMPORTED}{hashlib.sha256(content.encode()).hexdigest()[:DIGITS]}"


def _is_here(store: Store, record: RunRecord) -> bool:
    """Return whether the same numbers are here already, computed here or bundled."""
    assert record.recipe is not None, "checked"
    folder = store.find(record.recipe.key)
    try:
        known = folder.record()
    except StoreError:  # damaged
        return False
    return known.recipe is not None and _key(known) == _key(record)


def _write(folder: RunFolder, events: Sequence[Event], name: str, label: Path | None = None) -> None:
    """Write the folder of an imported run in one step."""
    recipe = RunRecord.fold(events[:1]).recipe
    assert recipe is not None, "checked"
    # Made from the validated objects; nothing of the file itself is copied.
    content = b"".join(line + b"\n" for line in _lines(events, folder.key))
    with atomic_files.store_errors(folder.path), disk.new_directory(folder.path) as new:
        atomic_files.write(new / folder.recipe_path.name, recipe.model_dump_json(indent=1).encode())
        atomic_files.write(new / folder.events_path.name, content)
        atomic_files.write(new / folder.checksums_path.name, checksum(content))
        atomic_files.write(new / RunFolder.IMPORTED, name.encode(errors="replace"))
        if label is not None and label.is_file():
            atomic_files.write(new / folder.label_path.name, label.read_bytes())


def _lines(events: Sequence[Event], key: str = "") -> list[bytes]:
    """Return the events as lines, with another key."""
    return [
        to_line(event.model_copy(update={"key": key}) if isinstance(event, RunStarted) else event).encode()
        for event in events
    ]
