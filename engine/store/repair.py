"""Finding damage in a run folder, and rewinding a folder to where a retry can resume.

A folder that a crash left is not damaged: its events simply stop, and a retry resumes after the last complete
block. Damage is what no crash leaves: an unreadable file, a record whose events have no end, an ended run
whose blocks are missing.
"""

from __future__ import annotations

from pydantic import ValidationError

from engine.errors import StoreError
from engine.events import BlockPruned, Finished, from_line
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files
from engine.store.folder import RunFolder


def damage(folder: RunFolder) -> str | None:
    """Return a sentence about what is damaged in the folder, or None. Blocks are checked by length only."""
    try:
        folder.recipe()
        events = folder.events()
        has_record = folder.record_path.exists() and bool(folder.read(folder.record_path, RunRecord))
    except StoreError as error:
        return str(error)
    if not (events and events[-1].ends):
        return str(folder.damaged("the end of its events is missing")) if has_record else None
    if (folder.recorded or folder.imported) and not folder.has_weights:
        return None
    for event in events:
        if isinstance(event, BlockPruned) and not folder.blocks.has_full_length(event.index):
            return str(folder.damaged(f"its block {event.index} is missing or unreadable"))
    return None


def is_finished(folder: RunFolder) -> bool:
    """Return whether the run exists, is finished, and is undamaged."""
    if not folder.exists or damage(folder):
        return False
    events = folder.events()
    return bool(events) and isinstance(events[-1], Finished)


def rewind(folder: RunFolder, recipe: Recipe) -> int:
    """Rewind the folder to the last block that is complete on the disk, so that a retry resumes after it.

    Only the holder of the lock may call this.

    Returns:
        How many blocks are kept.

    Raises:
        StoreError: the disk refuses.
    """
    offset, count = _complete_blocks(folder)
    events = folder.events_path.read_bytes()[:offset] if offset else b""
    # The record goes first: without it a crash in the middle of this leaves an interrupted run, not a
    # damaged one.
    with atomic_files.store_errors(folder.path):
        folder.record_path.unlink(missing_ok=True)
        folder.blocks.clear_after(count)
        folder.cancel_path.unlink(missing_ok=True)
    atomic_files.write(folder.recipe_path, recipe.model_dump_json(indent=1).encode())
    atomic_files.write(folder.events_path, events)
    return count


def _complete_blocks(folder: RunFolder) -> tuple[int, int]:
    """Return the byte offset after the last event of an unbroken sequence of readable blocks, which starts
    with block 0, and the number of those blocks.
    """
    offset = position = count = 0
    lines = folder.events_path.read_bytes().splitlines(keepends=True) if folder.events_path.exists() else []
    for line in lines:
        position += len(line)
        try:
            event = from_line(line)
        except ValidationError:
            break
        if isinstance(event, BlockPruned):
            if event.index != count or not folder.blocks.readable(count):
                break
            offset, count = position, count + 1
    return offset, count
