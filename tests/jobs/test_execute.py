"""Computing into a folder: once, resumable, cancellable, and with a message if the disk is full."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import BlockPruned, Event, Finished, Resumed, RunStarted
from engine.jobs.execute import execute
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.store import atomic_files
from engine.store.folder import RunFolder
from engine.store.runs import Store
from engine.store.summary import Label
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.jobs.conftest import until

Run = Callable[[Recipe, MutableMapping[int, BlockWeights]], Iterator[Event]]


class Killed(BaseException):
    """Stands for the end of the process at this point: our code does not catch it."""


@pytest.fixture
def imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)


@pytest.fixture
def folder(store: Store, small: RecipeMaker) -> RunFolder:
    return store.folder(small().key)


def killing(at: int) -> Callable[[Event], None]:
    """A watcher that ends the process when it hears of block `at`."""

    def tell(event: Event) -> None:
        if isinstance(event, BlockPruned) and event.index == at:
            raise Killed

    return tell


def interrupt(recipe: Recipe, folder: RunFolder, at: int) -> None:
    with pytest.raises(Killed):
        execute(recipe, folder, publish=killing(at))


def leftovers(folder: RunFolder) -> list[str]:
    return [path.name for path in folder.path.parent.rglob("*") if path.name.endswith(atomic_files.TEMPORARY)]


def test_a_finished_run_is_not_computed_twice(small: RecipeMaker, folder: RunFolder) -> None:
    seen: list[Event] = []
    record = execute(small(), folder, publish=seen.append)
    assert record.state == "finished" and record.pruned is not None
    assert seen == folder.events() and isinstance(seen[-1], Finished)
    assert record == folder.record() and not leftovers(folder) and not folder.locked
    again: list[Event] = []
    assert execute(small(), folder, publish=again.append) == record and again == []


def test_on_request_a_finished_run_is_computed_from_the_beginning(
    small: RecipeMaker, store: Store, folder: RunFolder, imitated: None
) -> None:
    first = execute(small(), folder)
    store.label(folder.key, Label(name="Mine"))
    seen: list[Event] = []
    record = execute(small(), folder, publish=seen.append, again=True)
    assert [event.event for event in seen] == [event.event for event in folder.events()]
    assert isinstance(seen[0], RunStarted) and record.resumed is None
    assert (record.dense, record.pruned, record.state) == (first.dense, first.pruned, "finished")
    (summary,) = store.list()
    assert summary.title == "Mine" and summary.state == "finished"


def test_a_repeated_run_that_is_cancelled_resumes(
    small: RecipeMaker, folder: RunFolder, imitated: None
) -> None:
    execute(small(), folder)

    def cancel(event: Event) -> None:
        if isinstance(event, BlockPruned):
            folder.request_cancel()

    assert execute(small(), folder, publish=cancel, again=True).state == "cancelled"
    assert len(folder.record().blocks) == 1
    record = execute(small(), folder)
    assert (record.state, record.resumed) == ("finished", 1)


def test_an_interrupted_run_resumes_with_the_same_result(
    small: RecipeMaker, folder: RunFolder, tmp_path: Path
) -> None:
    undisturbed = RunFolder(tmp_path / "other" / small().key)
    expected = execute(small(), undisturbed)
    interrupt(small(), folder, at=4)
    assert folder.record().state == "interrupted" and "after block 5" in (folder.record().error or "")
    seen: list[Event] = []
    record = execute(small(), folder, publish=seen.append)
    assert Resumed(blocks=5) in [event.model_copy(update={"elapsed": 0}) for event in seen]
    assert [event.index for event in seen if isinstance(event, BlockPruned)] == [5, 6, 7]
    assert (record.dense, record.pruned, record.sparsity) == (
        expected.dense,
        expected.pruned,
        expected.sparsity,
    )
    masks, others = folder.blocks.masks("b"), undisturbed.blocks.masks("b")
    assert masks.keys() == others.keys() and all(torch.equal(masks[name], others[name]) for name in masks)


@pytest.mark.usefixtures("imitated")
def test_a_block_without_event_and_one_that_is_damaged_are_computed_again(
    small: RecipeMaker, folder: RunFolder
) -> None:
    interrupt(small(), folder, at=2)
    folder.blocks[3] = folder.blocks[2]  # kept just before the process died
    folder.blocks.path(1).write_bytes(b"garbage")
    (folder.blocks.path(1).parent / f".left{atomic_files.TEMPORARY}").touch()
    seen: list[Event] = []
    assert execute(small(), folder, publish=seen.append).state == "finished"
    assert [event.index for event in seen if isinstance(event, BlockPruned)] == [1, 2, 3]
    assert [block.index for block in folder.record().blocks] == [0, 1, 2, 3]
    assert not leftovers(folder)


@pytest.mark.usefixtures("imitated")
@pytest.mark.parametrize("damage", ["recipe", "events", "block", "record"])
def test_a_damaged_run_is_repaired_by_computing_it_again(
    small: RecipeMaker, folder: RunFolder, damage: str
) -> None:
    execute(small(), folder)
    path = {
        "recipe": folder.recipe_path,
        "events": folder.events_path,
        "block": folder.blocks.path(2),
        "record": folder.record_path,
    }[damage]
    path.write_bytes(b"garbage\n" + path.read_bytes()[20:])
    assert execute(small(), folder).state == "finished"
    assert folder.recipe() == small() and len(folder.record().blocks) == imitation.BLOCKS


@pytest.mark.usefixtures("imitated")
def test_cancelling_stops_after_the_block(small: RecipeMaker, folder: RunFolder) -> None:
    def cancel(event: Event) -> None:
        if isinstance(event, BlockPruned) and event.index == 1:
            folder.request_cancel()

    record = execute(small(), folder, publish=cancel)
    assert record.state == "cancelled" and len(record.blocks) == 2
    assert not folder.cancel_requested
    assert execute(small(), folder).state == "finished"


@pytest.mark.usefixtures("imitated")
def test_a_keyboard_interrupt_cancels(small: RecipeMaker, folder: RunFolder) -> None:
    def press(event: Event) -> None:
        if isinstance(event, BlockPruned):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(small(), folder, publish=press)
    assert folder.record().state == "cancelled"


def test_a_second_process_follows_the_first(
    small: RecipeMaker, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, go_on = [], threading.Event()

    def once(
        recipe: Recipe,
        kept: MutableMapping[int, BlockWeights],
        cache: Path | None = None,
        bench: object = None,
    ) -> Iterator[Event]:
        times.append(recipe)
        for event in imitation.run(recipe, kept):
            yield event
            if isinstance(event, BlockPruned) and event.index == 1:
                go_on.wait()

    monkeypatch.setattr(engine_run, "run", once)
    records: list[Any] = []
    heard: list[Event] = []
    first = threading.Thread(target=lambda: records.append(execute(small(), folder)))
    first.start()
    until(lambda: folder.exists and len(folder.blocks) == 2)
    second = threading.Thread(target=lambda: records.append(execute(small(), folder, publish=heard.append)))
    second.start()
    until(lambda: len(heard) >= 3)  # the start and two blocks, while the first is still at it
    go_on.set()
    first.join()
    second.join()
    assert len(times) == 1 and records[0] == records[1] and heard == folder.events()


def _no_room(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("imitated")
def test_a_full_disk_ends_the_run_with_a_message(
    small: RecipeMaker, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.write, []

    def write(descriptor: int, content: Any) -> int:
        if b"block_pruned" in bytes(content):
            calls.append(content)
            if len(calls) == 3:
                real(descriptor, bytes(content)[:10])  # half a line goes through
                _no_room()
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    record = execute(small(), folder)
    assert record.state == "failed" and record.error is not None and "is full" in record.error
    assert len(record.blocks) == 2 and list(folder.blocks) == [0, 1] and not leftovers(folder)
    assert execute(small(), folder).state == "finished"


@pytest.mark.usefixtures("imitated")
def test_a_disk_too_full_to_record_the_end(
    small: RecipeMaker, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(small(), folder, at=1)
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="is full"):
        patch.setattr(os, "write", _no_room)
        execute(small(), folder)
    assert folder.record().state == "interrupted" and list(folder.blocks) == [0, 1] and not leftovers(folder)
    assert execute(small(), folder).state == "finished"


@pytest.mark.usefixtures("imitated")
def test_a_disk_too_full_for_the_first_event_leaves_no_run(
    small: RecipeMaker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", _no_room)
    with pytest.raises(StoreError, match="is full"):
        execute(small(), store.folder(small().key))
    assert list(store.runs.iterdir()) == [] and store.list() == []


@pytest.mark.usefixtures("imitated")
def test_a_directory_chosen_by_the_user_is_never_removed(
    small: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letter.txt").touch()
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="is full"):
        patch.setattr(os, "write", _no_room)
        execute(small(), RunFolder(tmp_path))
    assert (tmp_path / "letter.txt").exists()
    assert execute(small(), RunFolder(tmp_path)).state == "finished"
