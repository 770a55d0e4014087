"""Names, the trash, and freeing space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.jobs.execute import execute
from engine.record import RunRecord
from engine.replay import events_of
from engine.store.folder import RunFolder
from engine.store.runs import DAY, Store, largest_until, older_than
from engine.store.summary import Label, RunSummary
from tests.conftest import RecipeMaker
from tests.jobs import imitation


@pytest.fixture
def finished(store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    folder = store.folder(small().key)
    execute(small(), folder)
    return folder


class TestLabels:
    def test_name_note_and_pin_are_stored_and_change_nothing_else(
        self, store: Store, finished: RunFolder
    ) -> None:
        before = store.list()[0]
        store.label(finished.key, Label(name="The good one", note="seed 3", pinned=True))
        after = store.list()[0]
        assert after.title == "The good one" and after.label.note == "seed 3" and after.label.pinned
        assert (after.changed, after.state, after.record) == (before.changed, before.state, before.record)

    def test_a_run_with_a_damaged_label_says_so_and_is_never_deleted_to_free_space(
        self, store: Store, finished: RunFolder
    ) -> None:
        store.label(finished.key, Label(name="The good one", pinned=True))
        finished.label_path.write_text("nonsense")
        (run,) = store.list()
        assert run.label == Label(pinned=True) and run.state == "finished"
        assert run.message is not None and "name it again" in run.message

    def test_a_missing_run_cannot_be_named(self, store: Store) -> None:
        with pytest.raises(StoreError, match="no run"):
            store.label("0123", Label(name="x"))
        with pytest.raises(StoreError, match="came with Prunescope"):
            store.label(store.recorded[0].key, Label(name="x"))


class TestTrash:
    def test_a_deleted_run_can_be_restored_completely(self, store: Store, finished: RunFolder) -> None:
        store.label(finished.key, Label(name="kept"))
        before = store.list()
        store.delete(finished.key)
        assert store.list() == [] and not finished.exists
        store.restore(finished.key)
        assert store.list() == before

    def test_an_emptied_trash_restores_nothing(self, store: Store, finished: RunFolder) -> None:
        store.delete(finished.key)
        store.empty_trash()
        assert not store.trash.exists()
        with pytest.raises(StoreError, match="no longer in the trash"):
            store.restore(finished.key)

    def test_a_run_that_was_computed_again_is_not_overwritten(
        self, store: Store, finished: RunFolder, small: RecipeMaker
    ) -> None:
        store.delete(finished.key)
        execute(small(), finished)
        with pytest.raises(StoreError, match="computed again"):
            store.restore(finished.key)
        assert finished.record().state == "finished"

    def test_deleting_twice_keeps_the_last(
        self, store: Store, finished: RunFolder, small: RecipeMaker
    ) -> None:
        store.delete(finished.key)
        execute(small(), finished)
        store.delete(finished.key)
        store.restore(finished.key)
        assert finished.record().state == "finished"


def summary(key: str, age: float = 0.0, size: int = 10, **more: object) -> RunSummary:
    return RunSummary(key=key, state="finished", changed=1000 * DAY - age * DAY, size=size, **more)  # type: ignore[arg-type]


class TestSpace:
    runs = (
        summary("old", 40, 5),
        summary("older", 90, 30),
        summary("new", 1, 50),
        summary("pinned", 99, 99, label=Label(pinned=True)),
        RunSummary(key="running", state="running", changed=0.0, size=80),
        summary("recorded", 99, 99, recorded=True),
    )

    def test_by_age_the_oldest_first(self) -> None:
        assert [run.key for run in older_than(self.runs, 30, 1000 * DAY)] == ["older", "old"]
        assert older_than(self.runs, 100, 1000 * DAY) == []

    def test_by_size_as_many_as_necessary(self) -> None:
        total = sum(run.size for run in self.runs)
        assert [run.key for run in largest_until(self.runs, total)] == []
        assert [run.key for run in largest_until(self.runs, total - 1)] == ["new"]
        assert [run.key for run in largest_until(self.runs, total - 51)] == ["new", "older"]
        assert [run.key for run in largest_until(self.runs, 0)] == ["new", "older", "old"], (
            "pinned, running and recorded ones stay"
        )


def test_a_record_unfolds_into_events_that_fold_into_it(tmp_path: Path) -> None:
    recorded = Store(tmp_path).recorded
    assert recorded
    for run in recorded:
        record = Store(tmp_path).find(run.key).record()
        assert RunRecord.fold(events_of(record)) == record
        assert json.loads(record.model_dump_json())["key"] == run.key


def test_only_a_finished_record_unfolds() -> None:
    with pytest.raises(ValueError, match="not that of a finished run"):
        events_of(RunRecord())
