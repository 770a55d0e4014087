"""The one way a run is computed into a folder, for the background worker and for the command line alike.

The process that holds the folder's lock computes; another that comes for the same run follows it and gets the
same record. What an earlier try finished is kept, and a finished run is never computed again. A disk that
fills up ends the run with a sentence, and nothing half-written stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from filelock import Timeout

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import Cancelled, Event, Failed
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run_cache import MODELS
from engine.store import atomic_files, repair
from engine.store.folder import RunFolder
from engine.store.follow import Tail

POLL = 0.1  # seconds between two looks at a run that another process computes
PROBE = 0.5  # seconds for which a reader that only asks whether the run is locked may be in the way

Publish = Callable[[Event], None]


def execute(recipe: Recipe, folder: RunFolder, *, publish: Publish | None = None) -> RunRecord:
    """Compute a run into its folder, or follow the process that is at it; the record of the ended run.

    Args:
        recipe: a pinned recipe.
        folder: where; made when it is missing.
        publish: gets every event of this try as it happens.

    Raises:
        StoreError: the disk refuses, and not even the end of the run could be written. A folder that this
            call made and that holds no event is gone again.
    """
    tell = publish or _ignore
    if repair.is_finished(folder):
        return folder.record()
    atomic_files.check_writable(folder.path.parent)
    created = folder.create(recipe)
    with _turn(folder, tell) as followed:
        if followed is not None and followed.state not in ("empty", "running"):
            return followed
        return _compute(recipe, folder, tell, created)


def _ignore(event: Event) -> None:
    """For those who do not watch."""


@contextmanager
def _turn(folder: RunFolder, tell: Publish) -> Iterator[RunRecord | None]:
    """Hold the folder's lock, after following whoever holds it now; what was followed, or None."""
    try:
        with folder.lock(PROBE):
            yield None
            return
    except Timeout:
        pass
    tail = Tail(folder)
    while True:
        for event in tail.refresh():
            tell(event)
        try:
            with folder.lock():
                for event in tail.refresh():
                    tell(event)
                yield tail.record
                return
        except Timeout:
            time.sleep(POLL)


def _compute(recipe: Recipe, folder: RunFolder, tell: Publish, created: bool) -> RunRecord:
    try:
        repair.rewind(folder, recipe)
        return _record(recipe, folder, tell)
    except StoreError as error:
        record = _give_up(folder, error, created)
        if record is None:
            raise
        return record


def _record(recipe: Recipe, folder: RunFolder, tell: Publish) -> RunRecord:
    """Write the events down as they come, until one ends the run or a person does."""
    last = 0.0
    try:
        with _stopped(engine_run.run(recipe, folder.blocks, folder.cache, MODELS)) as events:
            for event in events:
                last = event.elapsed
                if event.ends:
                    return _end(folder, event, tell)
                folder.append(event)
                tell(event)
                if folder.cancel_requested:
                    break
    except KeyboardInterrupt:
        _end(folder, Cancelled(elapsed=last), tell)
        raise
    return _end(folder, Cancelled(elapsed=last), tell)


@contextmanager
def _stopped(events: Iterator[Event]) -> Iterator[Iterator[Event]]:
    """A generator that is closed when its reader goes, at once and not when it is collected as garbage."""
    try:
        yield events
    finally:
        if isinstance(events, Generator):
            events.close()


def _end(folder: RunFolder, event: Event, tell: Publish) -> RunRecord:
    record = folder.end(event)
    folder.clear_cancel()
    tell(event)
    return record


def _give_up(folder: RunFolder, error: StoreError, created: bool) -> RunRecord | None:
    """End a run that the disk refuses to take, less the block without event, to make room; None where that
    fails.
    """
    try:
        events = folder.events()
        if events:
            folder.blocks.clear_after(len(RunRecord.fold(events).blocks))
            return folder.end(Failed(message=str(error), elapsed=events[-1].elapsed))
        if created:
            folder.remove()
    except (StoreError, OSError):
        return None
    return None
