"""Taking in a colleague's run: its record (JSON) or its events (JSON lines), as numbers without weights.

The file may come from anywhere, so it is read as data alone, through the same types as our own atomic_files,
and what is wrong with it is said.
"""

from __future__ import annotations

import json
import shutil
import uuid

from pydantic import ValidationError

from engine import numbers
from engine.errors import StoreError
from engine.events import Event, from_line, to_line
from engine.record import RunRecord
from engine.replay import events_of
from engine.store import atomic_files
from engine.store.runs import Store

MOST_BYTES = 20_000_000
WANTED = "Export a run as Record (json) on Explore or Runs, or take the events.jsonl of its folder."


def import_run(store: Store, content: bytes, name: str) -> str:
    """Put a run into the store; its key.

    Args:
        content: a record as JSON, or events as JSON lines.
        name: of the file, for what is said about it.

    Raises:
        StoreError: the file is no finished run, the run is here already, or the disk refuses.
    """
    if len(content) > MOST_BYTES:
        raise StoreError(
            f"The file {name} has {numbers.size(len(content))}, and a record has at most {numbers.size(MOST_BYTES)}. {WANTED}"
        )
    events = _events(content, name)
    record = RunRecord.fold(events)
    if record.state != "finished" or record.recipe is None or record.key is None:
        raise StoreError(f"The run in {name} is {record.state}; only finished runs are taken in. {WANTED}")
    folder = store.folder(record.key)
    if folder.exists or store.find(record.key).exists:
        raise StoreError(f"The run in {name} ({record.recipe.title}) is here already, under the same key.")
    atomic_files.check_writable(store.runs)
    fresh = folder.path.with_name(f".{record.key}.{uuid.uuid4().hex}{atomic_files.TEMPORARY}")
    with atomic_files.said(folder.path):
        try:
            fresh.mkdir(parents=True)
            atomic_files.write(fresh / "recipe.json", record.recipe.model_dump_json(indent=1).encode())
            atomic_files.write(
                fresh / "events.jsonl", b"".join(to_line(event).encode() + b"\n" for event in events)
            )
            atomic_files.write(fresh / "imported", name.encode())
            fresh.rename(folder.path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return record.key


def _events(content: bytes, name: str) -> list[Event]:
    """The events of a file of either kind."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(
            f"The file {name} is no text (UTF-8), so it is neither a record nor events. {WANTED}"
        ) from error
    try:
        if _is_record(text):
            return events_of(RunRecord.model_validate_json(text))
        return [from_line(line) for line in text.splitlines() if line.strip()]
    except ValidationError as error:
        what = error.errors()[0]
        where = ".".join(str(part) for part in what["loc"]) or "its beginning"
        raise StoreError(
            f"The file {name} is no record and no events of this version: {what['msg'].lower()} at {where}. {WANTED}"
        ) from error
    except ValueError as error:
        raise StoreError(f"The file {name} cannot be taken in: {error}. {WANTED}") from error


def _is_record(text: str) -> bool:
    """Whether it is one JSON object that is no event."""
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and "event" not in found
