"""The list of runs survives whatever lies there; a store that cannot be written says so before anything is
begun.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.jobs.execute import execute
from engine.store.folder import RunFolder
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.store.damages import DAMAGES


@pytest.fixture(autouse=True)
def _imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)


@pytest.fixture
def finished(store: Store, small: RecipeMaker) -> RunFolder:
    folder = store.folder(small().key)
    execute(small(), folder)
    return folder


def test_an_empty_store(store: Store) -> None:
    assert store.list() == [] and not store.home.exists()


def test_a_finished_run_is_listed(store: Store, finished: RunFolder, small: RecipeMaker) -> None:
    (summary,) = store.list()
    assert (summary.key, summary.state, summary.recipe) == (finished.key, "finished", small())
    assert summary.title == "Wanda 50% on demo" and summary.message is None
    assert summary.size == store.size(finished.key) > 0
    assert store.list() == [summary]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_listed_as_damaged(
    store: Store, finished: RunFolder, small: RecipeMaker, damage: str
) -> None:
    execute(small(seed=1), store.folder(small(seed=1).key))
    store.list()  # what is remembered must not hide what happened since
    DAMAGES[damage](finished)
    states = {summary.key: summary for summary in store.list()}
    assert states[finished.key].state == "damaged" and states[small(seed=1).key].state == "finished"
    message = states[finished.key].message
    assert message is not None and finished.key in message and "damaged" in message


def test_other_files_next_to_the_runs_are_ignored(store: Store, finished: RunFolder) -> None:
    (store.runs / "a file").touch()
    (store.runs / ".half.tmp").mkdir()
    assert [summary.key for summary in store.list()] == [finished.key]


@pytest.mark.parametrize("key", ["", "../elsewhere", "a/b", ".hidden"])
def test_a_key_is_no_path(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="no run"):
        store.folder(key)


def test_a_run_is_deleted_unless_it_is_computed(store: Store, finished: RunFolder) -> None:
    with finished.lock(), pytest.raises(StoreError, match="being computed"):
        store.delete(finished.key)
    store.delete(finished.key)
    assert list(store.runs.iterdir()) == []
    with pytest.raises(StoreError, match="no run"):
        store.delete(finished.key)


def test_a_home_below_a_file(tmp_path: Path, small: RecipeMaker) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "home")
    assert store.list() == []
    for attempt in (store.check_writable, lambda: execute(small(), store.folder(small().key))):
        with pytest.raises(StoreError, match="is a file, not a directory"):
            attempt()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 5 MB large."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("this system does not let the tests mount a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system")
def test_a_full_disk_is_refused_before_anything_is_written(disk: Path, small: RecipeMaker) -> None:
    (disk / "ballast").write_bytes(bytes(3 * 2**20))
    store = Store(disk / "home")
    with pytest.raises(StoreError, match="is full"):
        execute(small(), store.folder(small().key))
    assert list(store.runs.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system")
def test_a_disk_that_fills_up_during_a_run(disk: Path, small: RecipeMaker) -> None:
    store = Store(disk / "home")
    folder = store.folder(small().key)

    def fill(event: object) -> None:
        if isinstance(event, imitation.BlockPruned) and event.index == 1:
            with pytest.raises(OSError, match="No space"), (disk / "ballast").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    record = None
    try:
        record = execute(small(), folder, publish=fill)
    except StoreError as error:
        assert "is full" in str(error)
    state = folder.record()
    assert state.state == (record.state if record else "interrupted") and state.state in (
        "failed",
        "interrupted",
    )
    assert (
        list(folder.blocks) == [0, 1]
        and not list(disk.rglob("*.tmp"))
        and store.list()[0].state == state.state
    )
    (disk / "ballast").unlink()
    assert execute(small(), folder).state == "finished"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system")
def test_a_read_only_disk_can_be_read(disk: Path, small: RecipeMaker) -> None:
    store = Store(disk / "home")
    record = execute(small(), store.folder(small().key))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert execute(small(), store.folder(small().key)) == record
    assert [summary.state for summary in store.list()] == ["finished"]
    with pytest.raises(StoreError, match="read-only"):
        execute(small(seed=1), store.folder(small(seed=1).key))
    with pytest.raises(StoreError, match="read-only"):
        store.delete(small().key)


def test_a_limit_on_the_size_of_files(store: Store, small: RecipeMaker) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, old[1]))
    try:
        with pytest.raises(StoreError, match="is full"):
            execute(small(), store.folder(small().key))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert store.list() == []


def test_what_a_killed_import_left_goes_after_a_day(store: Store) -> None:
    names = (f".imported-1.{'0a' * 16}.tmp", f".imported-2.{'0b' * 16}.tmp", ".mine.tmp")
    for name in names:
        (store.runs / name).mkdir(parents=True)
        (store.runs / name / "recipe.json").touch()
    for name in (names[0], names[2]):
        os.utime(store.runs / name, (0, 0))
    store.empty_trash()
    assert sorted(path.name for path in store.runs.iterdir()) == sorted(names[1:])
