"""Importing a run from elsewhere: its record (JSON) or its events (JSON lines), results without weights.

The file may come from anywhere, so it is only parsed as data, through the same types as our own files, and
every problem is reported in a sentence.
"""

from __future__ import annotations

import json

from pydantic import ValidationError

from engine import numbers
from engine.errors import StoreError
from engine.events import Event, from_line, to_line
from engine.hardware import disk
from engine.record import RunRecord
from engine.replay import events_of
from engine.store import atomic_files
from engine.store.event_log import checksum
from engine.store.runs import Store

MOST_BYTES = 20_000_000
WANTED = "Export a run as Record (json) on Explore or Runs, or use the events.jsonl of its folder."


def import_run(store: Store, content: bytes, name: str) -> str:
    """Add a run to the store and return its key.

    Args:
        content: a record as JSON, or events as JSON lines.
        name: the file's name, for messages.

    Raises:
        StoreError: the file holds no finished run, the run is already in the store, or the disk refuses.
    """
    if len(content) > MOST_BYTES:
        raise StoreError(
            f"The file {name} has {numbers.size(len(content))}, but a record has at most "
            f"{numbers.size(MOST_BYTES)}. {WANTED}"
        )
    events = _parse(content, name)
    record = RunRecord.fold(events)
    if record.state != "finished" or record.recipe is None or record.key is None:
        raise StoreError(f"The run in {name} is {record.state}; only finished runs can be imported. {WANTED}")
    folder = store.folder(record.key)
    if folder.exists or store.find(record.key).exists:  # the second also finds a bundled run
        raise StoreError(f"The run in {name} ({record.recipe.title}) is already here, under the same key.")
    store.check_writable()
    with atomic_files.store_errors(folder.path), disk.new_directory(folder.path) as new:
        # Written from the validated objects; nothing of the file itself is copied.
        lines = b"".join(to_line(event).encode() + b"\n" for event in events)
        atomic_files.write(new / "recipe.json", record.recipe.model_dump_json(indent=1).encode())
        atomic_files.write(new / "events.jsonl", lines)
        atomic_files.write(new / "events.crc32", checksum(lines))
        atomic_files.write(new / "imported", name.encode())
    return record.key


def _parse(content: bytes, name: str) -> list[Event]:
    """Return the events of a file of either kind."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoreError(
            f"The file {name} is not text (UTF-8), so it is neither a record nor events. {WANTED}"
        ) from error
    try:
        if _is_record(text):
            return events_of(RunRecord.model_validate_json(text))
        return [from_line(line) for line in text.splitlines() if line.strip()]
    except ValidationError as error:
        what = error.errors()[0]
        where = ".".join(str(part) for part in what["loc"]) or "its beginning"
        raise StoreError(
            f"The file {name} is neither a record nor events of this version: "
            f"{what['msg'].lower()} at {where}. {WANTED}"
        ) from error
    except ValueError as error:
        raise StoreError(f"The file {name} cannot be imported: {error}. {WANTED}") from error


def _is_record(text: str) -> bool:
    """Return whether the text is one JSON object that is not an event."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    # A file with a single event is a JSON object, too.
    return isinstance(value, dict) and "event" not in value
