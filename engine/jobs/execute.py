"""Computing a run into its folder, for the background worker and the command line.

The process that holds the folder's lock computes; any other follows it and gets the same record. A run
resumes after the blocks that an earlier attempt finished, and a finished run is computed again only on
request. If the disk fills up, the run ends with a message and no partly written file remains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from filelock import Timeout

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import BlockPruned, Cancelled, Event, Failed, RunStarted
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run_cache import MODELS, ModelCache
from engine.store import atomic_files
from engine.store.folder import RunFolder
from engine.store.follow import Tail
from engine.store.import_run import set_aside
from engine.store.method_copies import keep_copies

POLL = 0.1  # seconds between two looks at a run that another process computes
PROBE = 0.5  # seconds: a reader that checks whether the run is locked holds the lock for a moment

Publish = Callable[[Event], None]


def execute(
    recipe: Recipe,
    folder: RunFolder,
    *,
    publish: Publish | None = None,
    models: ModelCache | None = MODELS,
    again: bool = False,
) -> RunRecord:
    """Compute a run into its folder, or follow the process that is computing it, and return its record.

    Args:
        recipe: a pinned recipe.
        folder: the run's folder, created if necessary.
        publish: receives every event of this attempt as it happens.
        models: the loaded models that the runs of this process share; None for a process with a single run,
            which would only spend memory on them.
        again: compute the run from the beginning, also if it is finished.

    Raises:
        StoreError: the disk is full or not writable, and not even the end of the run could be written. A
            folder created by this call that holds no event has been removed.
    """
    publish = publish or (lambda event: None)
    if folder.imported:  # by an earlier version, which stored imported runs under their recipe's key
        set_aside(folder)
    # Before anything is written: a finished run is returned even from a full or read-only disk.
    if folder.is_finished() and not again:
        return folder.record()
    atomic_files.check_writable(folder.path.parent, private=folder.private)
    created = folder.create(recipe)
    if folder.private:  # in a store
        keep_copies(folder.path.parents[1], recipe)
    with _locked(folder, publish) as followed:
        # Otherwise the other process died without ending the run, and this one, now holding the lock, resumes
        # it.
        if followed is not None and followed.state not in ("empty", "running"):
            return followed
        return _compute(recipe, folder, publish, created, models, again)


@contextmanager
def _locked(folder: RunFolder, publish: Publish) -> Iterator[RunRecord | None]:
    """Hold the folder's lock; while another process holds it, follow that one. Yields the record of what was
    followed, or None.
    """
    try:
        with folder.lock(PROBE):
            yield None
            return
    except Timeout:
        pass
    tail = Tail(folder)
    while True:
        for event in tail.refresh():
            publish(event)
        try:
            with folder.lock():
                # What was written between the last refresh and the release of the lock.
                for event in tail.refresh():
                    publish(event)
                yield tail.record
                return
        except Timeout:
            time.sleep(POLL)


def _compute(
    recipe: Recipe,
    folder: RunFolder,
    publish: Publish,
    created: bool,
    models: ModelCache | None,
    again: bool,
) -> RunRecord:
    try:
        _rewind(folder, recipe, again)
        return _record(recipe, folder, publish, models)
    except StoreError as error:
        record = _give_up(folder, error, created)
        if record is None:
            raise
        return record


def _rewind(folder: RunFolder, recipe: Recipe, again: bool) -> None:
    """Rewind the folder to the last block that is complete on the disk, so that a retry resumes after it; to
    the beginning if the run is computed `again`.

    Raises:
        StoreError: the disk refuses.
    """
    events, count = (b"", 0) if again else _complete_blocks(folder, recipe)
    folder.rewind(events)
    with atomic_files.store_errors(folder.path):
        # A block's file is written before its event, so the last file may have none.
        folder.blocks.clear_after(count)
    atomic_files.write(folder.recipe_path, recipe.model_dump_json(indent=1).encode())


def _complete_blocks(folder: RunFolder, recipe: Recipe) -> tuple[bytes, int]:
    """Return the events up to the last of an unbroken sequence of readable blocks, which starts with block 0,
    and the number of those blocks.
    """
    sound = folder.sound_events()
    events = [event for _, event in sound]
    if not events or not isinstance(events[0], RunStarted) or events[0].key != recipe.key:
        return b"", 0
    blocks = [place for place, event in enumerate(events) if isinstance(event, BlockPruned)]
    # Later events are left out, because a retry repeats them.
    count = next((index for index in range(len(blocks)) if not folder.blocks.readable(index)), len(blocks))
    kept = sound[: blocks[count - 1] + 1] if count else []
    return b"".join(line + b"\n" for line, _ in kept), count


def _record(recipe: Recipe, folder: RunFolder, publish: Publish, models: ModelCache | None) -> RunRecord:
    """Store the events as they arrive, until one ends the run or the user cancels it."""
    last = 0.0
    try:
        with _closing(engine_run.run(recipe, folder.blocks, folder.cache, models)) as events:
            for event in events:
                last = event.elapsed
                if event.ends:
                    return _end(folder, event, publish)
                folder.append(event)
                publish(event)
                # Between two events every finished block is on the disk.
                if folder.cancel_requested:
                    break
    except KeyboardInterrupt:
        # Ctrl-C on the command line; without an end event the run would look interrupted.
        _end(folder, Cancelled(elapsed=last), publish)
        raise
    return _end(folder, Cancelled(elapsed=last), publish)


@contextmanager
def _closing(events: Iterator[Event]) -> Iterator[Iterator[Event]]:
    """Close a generator as soon as its reader is done, not when it is garbage-collected."""
    try:
        yield events
    finally:
        if isinstance(events, Generator):
            events.close()


def _end(folder: RunFolder, event: Event, publish: Publish) -> RunRecord:
    record = folder.end(event)
    folder.clear_cancel()
    publish(event)
    return record


def _give_up(folder: RunFolder, error: StoreError, created: bool) -> RunRecord | None:
    """End a run for which there is no disk space, after dropping the block without an event to free some.
    Returns None if that fails.
    """
    try:
        events = folder.events()
        if events:
            # The block that did not fit may have been stored without its event.
            folder.blocks.clear_after(len(folder.fold(events).blocks))
            return folder.end(Failed(message=str(error), elapsed=events[-1].elapsed))
        if created:
            folder.remove()
    except (StoreError, OSError):
        return None
    return None
