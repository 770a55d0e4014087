"""Lifetimes: no process outlives the app, every run does, and the engine outlives its cluster."""

from __future__ import annotations

import gc
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from distributed import Client

from engine.errors import EngineError
from engine.jobs import cluster, embedded
from engine.jobs.execute import execute
from engine.jobs.health import FAILED, STARTING, STOPPED
from engine.jobs.service import BackgroundEngine
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs.conftest import family, gone, process, until


def says(app: subprocess.Popen[str], word: str) -> None:
    assert app.stdout is not None
    assert app.stdout.readline().strip() == word


def test_a_killed_app_leaves_its_runs_and_no_process(tmp_path: Path, small: RecipeMaker) -> None:
    recipes = [small(seed) for seed in (1, 2)]
    given = [recipe.model_dump_json() for recipe in recipes]
    with process("tests.jobs.app", str(tmp_path / "home"), str(tmp_path / "pace"), *given) as app:
        says(app, "started")
        says(app, "running")
        children = family(app.pid)
        assert len(children) >= 2  # the scheduler with the nanny, and the worker
        app.send_signal(signal.SIGKILL)
        until(lambda: gone(children))

    store = Store(tmp_path / "home")
    states = {summary.key: (summary.state, summary.message) for summary in store.list()}
    assert states[recipes[0].key] == ("finished", None)
    assert states[recipes[1].key][0] == "interrupted" and "resumes after block" in (
        states[recipes[1].key][1] or ""
    )

    engine = BackgroundEngine(store)
    assert engine.active() == []
    assert [engine.view(recipe.key).state for recipe in recipes] == ["finished", "interrupted"]
    record = execute(recipes[1], store.folder(recipes[1].key))
    assert record.state == "finished" and (record.resumed or 0) >= 2
    assert engine.view(recipes[1].key).record == record


def test_an_app_killed_while_starting_leaves_no_process(tmp_path: Path) -> None:
    with process("tests.jobs.app", str(tmp_path / "home"), str(tmp_path / "pace"), "{}", "{}") as app:
        says(app, "started")
        until(lambda: family(app.pid))
        children = family(app.pid)
        app.send_signal(signal.SIGKILL)
        until(lambda: gone(children))


def test_an_engine_that_cannot_start_reports_it(
    store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.sys, "executable", "/bin/false")
    engine = BackgroundEngine(store)
    assert engine.health() == STARTING
    try:
        key = engine.submit(small())
        until(lambda: engine.status.state == "failed")
        assert "could not be started" in engine.status.message
        until(lambda: engine.view(key).state == "failed")
        assert engine.view(key).message == engine.status.message
        assert engine.health() == FAILED
    finally:
        engine.close()


def test_an_engine_without_its_thread_is_not_healthy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundEngine, "_loop", lambda self: None)
    engine = BackgroundEngine(store)
    engine.start()
    until(lambda: engine.health() == STOPPED)


def test_an_address_that_cannot_be_used_leaves_no_client(tmp_path: Path) -> None:
    for address in ("nonsense://x", "tcp://localhost", "tls://127.0.0.1:9", "inproc://a"):
        with pytest.raises(EngineError, match=f"{address} does not answer"):
            cluster.Cluster(tmp_path, address, lambda: None)
    gc.collect()
    clients = [client for client in gc.get_objects() if issubclass(type(client), Client)]
    assert "connecting" not in [client.status for client in clients]


def test_a_scheduler_that_does_not_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    engine = BackgroundEngine(store, scheduler="tcp://127.0.0.1:9")
    try:
        engine.start()
        until(lambda: engine.status.state == "failed")
        assert "tcp://127.0.0.1:9" in engine.status.message and "does not answer" in engine.status.message
    finally:
        engine.close()


@pytest.mark.parametrize("by", ["a drawn page", "a run", "closing"])
def test_the_work_begins_when_the_first_page_needs_the_processor_no_more(
    store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    turns = threading.Event()
    monkeypatch.setattr(BackgroundEngine, "_turn", lambda self: turns.set())
    engine = BackgroundEngine(store, delay=600)
    try:
        engine.start()
        assert engine.summary("demo").pending  # what a first page asks must not begin it
        assert not turns.wait(0.1)
        if by == "a run":
            engine.submit(small())
        elif by == "a drawn page":
            engine.begun.set()
        if by != "closing":
            assert turns.wait(60)
    finally:
        engine.close()
    assert engine.begun.is_set()
