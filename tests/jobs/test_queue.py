"""The queue without a cluster: what was accepted is on the disk, and survives the app that accepted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import Cancelled, Event, Failed
from engine.jobs.execute import execute
from engine.jobs.queue import RunQueue
from engine.store.folder import RunFolder
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.jobs.imitated_cluster import Elsewhere, gpu_worker


def queue_of(store: Store) -> RunQueue:
    return RunQueue(store, grace=0.0, wake=lambda: None)


def files(store: Store) -> list[Path]:
    """The accepted runs on the disk, in order."""
    return sorted((store.home / "queue").glob("*/*.json"), key=lambda path: path.name)


def leave(store: Store, small: RecipeMaker, seeds: range) -> list[str]:
    """Submit runs in an app that then ends as if it was killed: the system releases its locks."""
    queue = queue_of(store)
    for seed in seeds:
        queue.submit(small(seed))
    for lock in queue._accepted._locks.values():
        lock.release()
    return [small(seed).key for seed in seeds]


def test_a_run_is_on_the_disk_as_soon_as_it_is_accepted(store: Store, small: RecipeMaker) -> None:
    queue = queue_of(store)
    queue.submit(small(1))
    queue.submit(small(1))
    (path,) = files(store)
    assert json.loads(path.read_text())["recipe"] == small(1).model_dump(mode="json")
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_finished_run_is_queued_again_only_on_request(
    store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    key = small(1).key
    execute(small(1), store.folder(key))
    queue = queue_of(store)
    queue.submit(small(1))
    assert queue.active() == [] and queue.view(key).state == "finished"
    queue.submit(small(1), again=True)
    assert queue.active() == [key] and queue.view(key).state == "queued"
    queue.cancel(key)
    assert queue.view(key).state == "finished", "the result stays until the new attempt begins"


ENDS: dict[str, tuple[Event | None, str]] = {
    "cancelled": (Cancelled(), "The run that was started here was cancelled."),
    "failed": (Failed(message="The disk is full."), "failed: The disk is full."),
    "interrupted": (None, "interrupted. The process that computed this run is gone."),
    "damaged": (None, "is damaged"),
}


@pytest.mark.parametrize("ending", ENDS)
def test_an_own_run_without_a_result_does_not_hide_the_bundled_one(
    tmp_path: Path, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    key, (end, words) = small().key, ENDS[ending]
    execute(small(), RunFolder(tmp_path / "bundled" / key))
    store = Store(tmp_path / "home", tmp_path / "bundled")
    queue, own = queue_of(store), store.folder(key)
    assert queue.view(key).recorded and queue.view(key).attempt == ""
    own.create(small())
    with own.lock():
        own.append(imitation.started(small()))
        assert queue.view(key).state == "running", "as long as it is being computed, it is shown"
        if end is not None:
            own.end(end)
    if ending == "damaged":
        own.events_path.write_text("nonsense\n")
    view = queue.view(key)
    assert (view.state, view.recorded, view.has_weights) == ("finished", True, True)
    assert words in view.attempt and store.find(key).recorded
    assert queue.events(key)[-1].ends and len(view.record.blocks) == imitation.BLOCKS
    queue.submit(small())
    assert queue.view(key).state == "queued"
    queue.cancel(key)
    assert queue.view(key).recorded
    own.remove()
    execute(small(), own)
    assert not queue.view(key).recorded and queue.view(key).attempt == ""


def test_a_bundled_run_is_shown_again_when_its_own_run_is_dropped_before_it_began(
    tmp_path: Path, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    execute(small(), RunFolder(tmp_path / "bundled" / small().key))
    queue = queue_of(Store(tmp_path / "home", tmp_path / "bundled"))
    queue.submit(small())
    queue.cancel(small().key)
    assert queue.view(small().key).state == "finished"
    assert queue.view(small().key).attempt == "", "nothing has happened"
    queue.submit(small())
    queue.fail("Dask is not installed.")
    assert queue.view(small().key).attempt.endswith("failed: Dask is not installed.")


def test_a_run_cancelled_before_it_began_again_ends_as_its_earlier_attempt(
    store: Store, small: RecipeMaker
) -> None:
    folder = store.folder(small().key)
    folder.create(small())
    with folder.lock():
        folder.append(imitation.started(small()))
        folder.end(Failed(message="The disk is full."))
    cluster: Any = Elsewhere([gpu_worker("a")])
    queue = queue_of(store)
    queue.submit(small())
    queue.drive(cluster)
    assert len(cluster.sent) == 1 and queue.view(small().key).state == "queued"
    queue.cancel(small().key)
    queue.drive(cluster)
    assert (queue.active(), queue.view(small().key).message) == ([], "The disk is full.")


def test_waiting_runs_keep_their_order_over_a_restart(store: Store, small: RecipeMaker) -> None:
    keys = leave(store, small, range(12))
    queue = queue_of(store)
    assert [recipe.key for recipe in queue.restore()] == keys == queue.held()
    assert queue.active() == []
    views = [queue.view(key) for key in keys]
    assert {view.state for view in views} == {"queued"}
    assert [view.place for view in views] == list(range(1, 13))
    assert views[0].record.recipe == small(0) and "Continue or drop" in views[0].message
    queue.resume_held()
    assert queue.active() == keys and queue.held() == []


def test_what_was_dropped_finished_or_cancelled_is_not_asked_about(
    store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    first, second, third, fourth = leave(store, small, range(4))
    execute(small(0), store.folder(first))  # meanwhile, on the command line
    queue = queue_of(store)
    queue.restore()
    assert queue.held() == [second, third, fourth]
    queue.cancel(third)
    assert queue.view(third).state == "cancelled" and queue.held() == [second, fourth]
    queue.submit(small(3))  # pressed again in place of an answer
    assert queue.active() == [fourth] and queue.held() == [second]
    queue.drop_held()
    assert queue.held() == [] and queue.view(second).state == "cancelled"
    assert [path.stem.rpartition("-")[2] for path in files(store)] == [fourth]
    queue.close()
    again = queue_of(store)
    assert [recipe.key for recipe in again.restore()] == [fourth]


def test_runs_left_several_times_stay_in_order(store: Store, small: RecipeMaker, monkeypatch) -> None:
    keys = leave(store, small, range(3))
    monkeypatch.setattr("time.time_ns", lambda: 7)  # the clock was moved back
    queue = queue_of(store)
    queue.restore()
    queue.submit(small(3))
    queue.close()
    assert [recipe.key for recipe in queue_of(store).restore()] == [*keys, small(3).key]


def test_two_apps_do_not_both_take_a_run(store: Store, small: RecipeMaker) -> None:
    keys = leave(store, small, range(2))
    living = queue_of(store)
    living.submit(small(9))
    one, other = queue_of(store), queue_of(store)
    assert [recipe.key for recipe in one.restore()] == keys
    assert other.restore() == []
    one.resume_held()
    one.close()
    assert [recipe.key for recipe in other.restore()] == keys  # not those of the app that is alive
    living.close()


def test_nothing_is_left_on_the_disk_when_all_is_done(store: Store, small: RecipeMaker) -> None:
    queue = queue_of(store)
    queue.submit(small(1))
    queue.cancel(small(1).key)
    queue.close()
    assert list((store.home / "queue").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"[]", b'{"recipe": {"sparsity": "much"}}', b"{"])
def test_a_damaged_file_is_left_out(store: Store, small: RecipeMaker, content: bytes) -> None:
    keys = leave(store, small, range(3))
    files(store)[1].write_bytes(content)
    (files(store)[0].parent / "notes.json").write_text("{}")
    assert [recipe.key for recipe in queue_of(store).restore()] == [keys[0], keys[2]]


def test_a_run_that_cannot_be_written_is_not_accepted(
    store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.hardware.disk.replace_file", full)
    queue = queue_of(store)
    with pytest.raises(StoreError, match="is full"):
        queue.submit(small(1))
    assert queue.active() == [] and files(store) == []


def test_runs_that_no_cluster_could_compute_are_offered_again(store: Store, small: RecipeMaker) -> None:
    queue = queue_of(store)
    queue.submit(small(1))
    queue.fail("The scheduler does not answer.")
    assert queue.view(small(1).key).state == "failed" and queue.active() == []
    queue.close()
    assert [recipe.key for recipe in queue_of(store).restore()] == [small(1).key]
