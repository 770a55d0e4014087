"""The list through the index is the list from the folders, whatever happens to runs and to the index."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.jobs.execute import execute
from engine.store import index, listing, runs
from engine.store.runs import Store
from engine.store.summary import Label, RunSummary
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.store.damages import change_digit, cut_events, make_directory, make_pipe, shorten

SEEDS = range(5)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    monkeypatch.setattr(listing, "FRESH", 0.0)  # these file systems count time in nanoseconds
    monkeypatch.setattr(index, "PATIENCE", 0.05)


@pytest.fixture
def some(store: Store, small: RecipeMaker) -> Store:
    for seed in SEEDS:
        execute(small(seed=seed), store.folder(small(seed=seed).key))
    store.list()
    return store


def path(store: Store) -> Path:
    return store.home / "index.sqlite3"


def from_folders(store: Store) -> list[RunSummary]:
    """The list of a new process that has no index."""
    new = Store(store.home)
    new._own._index._path = store.home / "none" / "index"
    return new.list()


def assert_right(store: Store) -> None:
    """Check the list of this process and of a new one."""
    expected = from_folders(store)
    assert store.list() == expected and Store(store.home).list() == expected


def test_a_new_process_reads_no_run_again(some: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = from_folders(some)
    monkeypatch.setattr(listing, "summarise", lambda *_: pytest.fail("a run was read again"))
    assert Store(some.home).list() == expected and len(expected) == len(SEEDS)


def test_without_runs_nothing_is_created(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_recorded", {})  # as in a new process
    assert store.list() == [] and store.recorded and not store.home.exists()


@pytest.mark.parametrize("seed", range(3))
def test_after_any_operations_the_list_is_that_of_the_folders(
    some: Store, small: RecipeMaker, seed: int
) -> None:
    chance = random.Random(seed)
    stores = [some, Store(some.home)]  # two processes
    operations: list[Callable[[Store, int], object]] = [
        lambda store, run: store.delete(small(seed=run).key),
        lambda store, run: store.restore(small(seed=run).key),
        lambda store, run: execute(small(seed=run), store.folder(small(seed=run).key)),
        lambda store, run: store.label(small(seed=run).key, Label(name=f"{chance.random()}")),
        lambda store, run: store.label(small(seed=run).key, Label(pinned=True, note="x" * run)),
        lambda store, run: change_digit(store.folder(small(seed=run).key)),
        lambda store, run: cut_events(store.folder(small(seed=run).key)),
        lambda store, run: shorten(store.folder(small(seed=run).key).blocks.path(1)),
        lambda store, run: shutil.rmtree(store.folder(small(seed=run).key).path),
        lambda store, run: path(store).unlink(),
        lambda store, run: shorten(path(store)),
    ]
    for _ in range(12):
        store = chance.choice(stores)
        try:
            chance.choice(operations)(store, chance.choice(SEEDS))
        except (StoreError, OSError, AssertionError):  # impossible just now, for instance no such run
            continue
        for other in stores:
            assert_right(other)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(b"garbage" * 999),
    "shortened": lambda file: file.write_bytes(file.read_bytes()[:5000]),
    "zeros": lambda file: file.write_bytes(file.read_bytes()[:4096] + bytes(4096 * 3)),
    "a directory": make_directory,
    "a pipe": make_pipe,
    "of another version": lambda file: change(file, "PRAGMA user_version = 7"),
    "another table": lambda file: change(file, "ALTER TABLE runs RENAME COLUMN seal TO colour"),
    "no table": lambda file: change(file, "DROP TABLE runs"),
    "other types": lambda file: change(file, "UPDATE runs SET summary = 7, seal = NULL"),
    "changed numbers": lambda file: change(
        file, """UPDATE runs SET summary = CAST(replace(summary, '"size":', '"size":1') AS BLOB)"""
    ),
    "swapped rows": lambda file: change(file, "UPDATE runs SET seal = (SELECT max(seal) FROM runs)"),
    "no rows": lambda file: change(file, "DELETE FROM runs"),
    "rows of no run": lambda file: change(file, "INSERT INTO runs VALUES ('own', 'ghost', x'00', x'00')"),
}


def change(file: Path, statement: str) -> None:
    database = sqlite3.connect(file, isolation_level=None)
    database.execute(statement)
    database.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_that_is_damaged_is_read_as_an_empty_one_and_rebuilt(
    some: Store, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = from_folders(some)
    DAMAGES[damage](path(some))
    assert Store(some.home).list() == expected
    Store(some.home).list()  # a damaged page is found when it is written
    assert some.list() == expected
    if path(some).is_file():
        monkeypatch.setattr(listing, "summarise", lambda *_: pytest.fail("the index was not rebuilt"))
        assert Store(some.home).list() == expected


def test_an_index_that_another_process_has_locked_is_done_without(some: Store, small: RecipeMaker) -> None:
    database = sqlite3.connect(path(some), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    some.delete(small().key)
    assert_right(some)
    database.execute("COMMIT")
    database.close()
    assert_right(some)


def test_an_index_that_cannot_be_written_is_done_without(
    some: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(index.SummaryIndex, "_write", refuse)
    some.delete(small().key)
    assert_right(some)


def test_processes_that_list_at_the_same_time_agree(some: Store, small: RecipeMaker) -> None:
    path(some).unlink()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(4):
                store = Store(some.home)
                assert {run.key for run in store.list()} >= {small(seed=seed).key for seed in SEEDS}
                store.label(small(seed=number).key, Label(name=f"by {number}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert_right(some)
    names = {run.key: run.label.name for run in Store(some.home).list()}
    assert [names[small(seed=number).key] for number in range(3)] == ["by 0", "by 1", "by 2"]


def test_a_run_that_has_just_changed_is_read_again(
    some: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within one step of the file system's clock leaves no trace in the file's times."""
    monkeypatch.setattr(listing, "FRESH", 60.0)
    store = Store(some.home)
    path(store).unlink()
    files = store.folder(small().key).files()
    store.list()
    change_digit(store.folder(small().key))
    monkeypatch.setattr(listing, "list_files", lambda _: files)
    assert {run.key: run.state for run in store.list()}[small().key] == "damaged"


def test_a_run_that_is_interrupted_is_seen_to_run_again(some: Store, small: RecipeMaker) -> None:
    folder = some.folder(small().key)
    folder.create(small())
    cut_events(folder)
    folder.checksums_path.unlink()
    assert {run.key: run.state for run in some.list()}[small().key] == "interrupted"
    with folder.lock():
        for store in (some, Store(some.home)):
            assert {run.key: run.state for run in store.list()}[small().key] == "running"
