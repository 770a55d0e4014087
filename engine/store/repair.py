"""What is wrong with a run folder, and how far back a new try has to go.

A folder that a crash left is not damaged: its events simply stop, and a new try goes on behind the last block
that is whole. Damaged is what no crash leaves: a file that cannot be read, a record without the end of its
events, an ended run without the blocks that it tells of.
"""

from __future__ import annotations

from pydantic import ValidationError

from engine.errors import StoreError
from engine.events import BlockPruned, Event, Finished, from_line
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store import atomic_files
from engine.store.folder import RunFolder


def damage(folder: RunFolder) -> str | None:
    """What is wrong with the folder, in a sentence; None where nothing is. Of blocks, header and length are
    checked.
    """
    try:
        folder.recipe()
        events = folder.events()
        recorded = folder.record_path.exists() and bool(folder.read(folder.record_path, RunRecord))
    except StoreError as error:
        return str(error)
    if events and events[-1].ends:
        return _missing_block(folder, events)
    return str(folder.damaged("the end of its events is missing")) if recorded else None


def _missing_block(folder: RunFolder, events: list[Event]) -> str | None:
    if (folder.recorded or folder.imported) and not folder.has_weights:
        return None
    told = (event.index for event in events if isinstance(event, BlockPruned))
    bad = next((index for index in told if not folder.kept.sound(index)), None)
    return None if bad is None else str(folder.damaged(f"its block {bad} is missing or unreadable"))


def is_finished(folder: RunFolder) -> bool:
    """Whether the run is there, finished and undamaged."""
    if not folder.exists or damage(folder):
        return False
    events = folder.events()
    return bool(events) and isinstance(events[-1], Finished)


def rewind(folder: RunFolder, recipe: Recipe) -> int:
    """Go back to the last block that is whole on the disk, from which a new try goes on; how many blocks are
    kept.

    For the holder of the lock.

    Raises:
        StoreError: the disk refuses.
    """
    offset, count = _whole_blocks(folder)
    kept = folder.events_path.read_bytes()[:offset] if offset else b""
    with atomic_files.said(folder.path):
        folder.record_path.unlink(missing_ok=True)
        folder.kept.clear_after(count)
        folder.cancel_path.unlink(missing_ok=True)
    atomic_files.write(folder.recipe_path, recipe.model_dump_json(indent=1).encode())
    atomic_files.write(folder.events_path, kept)
    return count


def _whole_blocks(folder: RunFolder) -> tuple[int, int]:
    """Offset behind the last event of an unbroken row of readable blocks from 0 on, and how many they are."""
    offset = position = count = 0
    lines = folder.events_path.read_bytes().splitlines(keepends=True) if folder.events_path.exists() else []
    for line in lines:
        position += len(line)
        try:
            event = from_line(line)
        except ValidationError:
            break
        if isinstance(event, BlockPruned):
            if event.index != count or not folder.kept.readable(count):
                break
            offset, count = position, count + 1
    return offset, count
