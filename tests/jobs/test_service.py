"""Runs in the background on a real cluster: watched, queued, cancelled, resumed after a kill, and closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from engine import VERSION
from engine.errors import EngineError, RecipeError, StoreError
from engine.events import Cancelled, Interrupted, Resumed
from engine.hardware.gpus import CUDA
from engine.jobs.dask_settings import DEVICE
from engine.jobs.execute import execute
from engine.jobs.fleet import FIRST, Device, Fleet
from engine.jobs.health import ENDED, SILENT, Health
from engine.jobs.requests import TextRequest
from engine.jobs.roster import Roster
from engine.jobs.service import BackgroundEngine
from engine.recipe import Recipe
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs.conftest import BLOCKS, ended, family, gone, until, wait_for_blocks
from tests.jobs.pace import Pace, client, worker_pid


@pytest.fixture(autouse=True)
def _unhurried(engine: BackgroundEngine, pace: Pace) -> None:
    pace.set(0)


def test_events_appear_while_the_run_is_running(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker
) -> None:
    pace.set(0.1)
    key = engine.submit(small(1))
    assert key == small(1).key and engine.active() == [key]
    seen = set()
    while (view := engine.view(key)).active:
        seen.add((view.state, len(view.record.blocks)))
        time.sleep(0.02)
    partial = seen & {("running", blocks) for blocks in range(1, BLOCKS)}
    assert len(partial) > 1, seen  # all of them, if the machine is not busy
    assert view.state == "finished" and view.record.pruned is not None and view.message == ""
    assert engine.active() == []
    assert engine.submit(small(1)) == key and engine.active() == []


def test_a_finished_run_is_computed_again_on_request(engine: BackgroundEngine, small: RecipeMaker) -> None:
    first = ended(engine, engine.submit(small(4)))
    folder = engine.store.folder(small(4).key)
    before = folder.signature()
    key = engine.repeat(small(4))
    assert engine.active() == [key]
    again = ended(engine, key)
    assert again.state == "finished" and folder.signature() != before
    assert again.record.pruned == first.record.pruned
    series = engine.series(small(4))
    assert series.exact is not None and series.exact.key == key and series.exact.own


def test_no_call_waits_for_the_run(engine: BackgroundEngine, pace: Pace, small: RecipeMaker) -> None:
    pace.set(0.25)
    slowest = {"submit": 0.0, "view": 0.0, "cancel": 0.0}

    def timed(name: str, call: object, *args: object) -> None:
        start = time.perf_counter()
        call(*args)  # type: ignore[operator]
        slowest[name] = max(slowest[name], time.perf_counter() - start)

    timed("submit", engine.submit, small(2))
    timed("submit", engine.submit, small(3))
    while engine.view(small(2).key).active:
        timed("view", engine.view, small(2).key)
        timed("view", engine.view, small(3).key)
        time.sleep(0.02)
    timed("cancel", engine.cancel, small(3).key)
    ended(engine, small(3).key)
    assert max(slowest.values()) < 0.25 * BLOCKS, slowest


def test_a_second_run_is_queued(engine: BackgroundEngine, pace: Pace, small: RecipeMaker) -> None:
    pace.set(0.1)
    keys = [engine.submit(small(seed)) for seed in (10, 11, 12)]
    wait_for_blocks(engine, keys[0], 1)
    assert engine.active() == keys
    assert [engine.view(key).place for key in keys] == [None, 1, 2]
    assert engine.view(keys[1]).state == "queued" and "Place 1" in engine.view(keys[1]).message
    assert engine.view(keys[1]).record.recipe == small(11)
    engine.cancel(keys[1])
    assert engine.view(keys[1]).state == "cancelled" and engine.view(keys[2]).place == 1
    assert engine.active() == [keys[0], keys[2]]
    pace.set(0)
    assert ended(engine, keys[0]).state == "finished" and ended(engine, keys[2]).state == "finished"
    assert not engine.store.folder(keys[1]).exists


def test_a_cancelled_run_stops_within_a_block(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker
) -> None:
    pace.set(0.3)
    process = worker_pid(engine)
    key = engine.submit(small(30))
    wait_for_blocks(engine, key, 2)
    blocks = len(engine.view(key).record.blocks)
    engine.cancel(key)
    view = ended(engine, key)
    assert view.state == "cancelled" and len(view.record.blocks) <= blocks + 1
    assert engine.store.folder(key).events()[-1].model_copy(update={"elapsed": 0}) == Cancelled(forced=False)
    assert worker_pid(engine) == process
    assert engine.active() == []
    pace.set(0)
    engine.submit(small(30))
    view = ended(engine, key)
    assert view.state == "finished" and view.record.resumed and len(view.record.blocks) == BLOCKS


def test_a_run_that_does_not_stop_is_killed(engine: BackgroundEngine, pace: Pace, small: RecipeMaker) -> None:
    pace.set(0.3)
    process = worker_pid(engine)
    key = engine.submit(small(40))
    waiting = engine.submit(small(41))
    wait_for_blocks(engine, key, 1)
    pace.set(30)
    time.sleep(0.5)  # the block that it is at ends, and the next takes half a minute
    engine.cancel(key)
    assert engine.view(key).state == "running"
    assert until(lambda: not engine.view(key).active) < 25
    assert engine.view(key).state == "cancelled"
    assert engine.store.folder(key).events()[-1].model_copy(update={"elapsed": 0}) == Cancelled(forced=True)
    until(lambda: not os.path.exists(f"/proc/{process}"))
    pace.set(0)
    assert ended(engine, waiting).state == "finished" and worker_pid(engine) != process


def test_a_failed_run_reports_why(engine: BackgroundEngine, corpus: object, small: RecipeMaker) -> None:
    key = engine.submit(small(60, calibration=str(corpus), samples=5000))
    view = ended(engine, key)
    assert view.state == "failed" and "windows" in view.message and view.record.error == view.message
    assert engine.active() == []
    assert engine.submit(small(60, calibration=str(corpus), samples=5000)) == key and engine.active() == [key]
    ended(engine, key)


def test_a_recipe_with_a_missing_file_is_rejected_immediately(engine: BackgroundEngine) -> None:
    with pytest.raises(RecipeError, match="does not exist"):
        engine.submit(Recipe.build(evaluation="missing.txt"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_workers_are_forked_from_a_process_without_threads(engine: BackgroundEngine) -> None:
    """One of them would be missing in the workers, which could wait for it forever."""
    origin = psutil.Process(worker_pid(engine)).parent()
    assert origin is not None and "engine.jobs.preloaded" in " ".join(origin.cmdline())
    assert origin.num_threads() == 1


def test_an_unknown_and_a_damaged_run(engine: BackgroundEngine, small: RecipeMaker) -> None:
    with pytest.raises(StoreError, match="no run"):
        engine.view("0123456789")
    folder = engine.store.folder(engine.submit(small(70)))
    ended(engine, folder.key)
    assert engine.active() == []
    folder.events_path.write_bytes(b"garbage\n")
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            engine.view(folder.key)
    engine.submit(small(70))
    assert ended(engine, folder.key).state == "finished"


def test_a_full_store_is_rejected_immediately(
    engine: BackgroundEngine, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.atomic_files.SMALLEST_ROOM", 2**70)
    with pytest.raises(StoreError, match="is full"):
        engine.submit(small(80))
    assert small(80).key not in engine.active() and not engine.store.folder(small(80).key).exists


def test_a_summary_and_a_text(engine: BackgroundEngine, small: RecipeMaker) -> None:
    assert engine.summary("demo").pending
    until(lambda: not engine.summary("demo").pending)
    summary = engine.summary("demo").value
    assert summary is not None and summary.blocks == BLOCKS
    until(lambda: engine.summary("/nowhere/at/all").failed)
    assert "no such directory" in engine.summary("/nowhere/at/all").message

    key = engine.submit(small(90))
    ended(engine, key)
    request = TextRequest(key, "Once upon a time", tokens=4)
    assert engine.text(request).pending
    until(lambda: not engine.text(request).pending)
    text = engine.text(request).value
    assert text is not None and text.prompt == "Once upon a time" and text.dense and text.pruned
    seen = client(engine).run_on_scheduler(eval, "'torch' in __import__('sys').modules")
    assert not seen, (
        "the scheduler passes questions on without importing what they are about, which would hold up the "
        "first for seconds"
    )
    missing = TextRequest("0123", "Once", tokens=4)
    until(lambda: engine.text(missing).failed)


def test_questions_are_answered_during_a_run(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker
) -> None:
    pace.set(0.5)
    key = engine.submit(small(100))
    wait_for_blocks(engine, key, 1)
    assert engine.summary("demo", "other").pending
    until(lambda: engine.summary("demo", "other").value is not None)
    assert engine.view(key).state == "running"
    engine.cancel(key)
    ended(engine, key)


def test_a_dead_cluster_is_restarted(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.health.PATIENCE", 1.0)
    pace.set(1)
    key = engine.submit(small(105))
    wait_for_blocks(engine, key, 1)
    places = ("CPU, 1 thread (up to 2 small runs at the same time)",)
    computing = Health("ok", "The background engine works.", VERSION, places)
    until(lambda: engine.health() == computing)
    worker, scheduler = worker_pid(engine), client(engine).run_on_scheduler(os.getpid)
    os.kill(worker, signal.SIGSTOP)
    assert engine.health() == SILENT
    os.kill(scheduler, signal.SIGKILL)
    assert engine.health().state == "failed"
    os.kill(worker, signal.SIGCONT)
    until(lambda: engine.view(key).state == "interrupted")
    until(lambda: not psutil.pid_exists(worker))
    assert "ended" in engine.view(key).message and engine.status.state == "ended"
    assert engine.health() == ENDED

    engine.submit(small(105))
    assert ended(engine, key).state == "finished", engine.view(key).message
    assert engine.status.state == "ready"
    pace.govern(engine)


def test_runs_on_several_gpus_and_a_killed_worker_resumes_its_own(
    engine: BackgroundEngine,
    pace: Pace,
    small: RecipeMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two imitated GPUs, and a worker that is killed."""
    undisturbed = Store(tmp_path / "other").folder(small(111).key)
    expected = execute(small(111), undisturbed)
    labels = {"0": "GPU 0 · imitated", "1": "GPU 1 · imitated"}
    cluster = engine._cluster
    assert cluster is not None and cluster._embedded is not None
    first = cluster.workers()[0].address
    monkeypatch.setattr(
        Roster,
        "_device",
        lambda _, address: Device("cuda", labels["0" if address == first else "1"], labels),
    )
    cluster.fleet = Fleet(cluster._embedded, cores=2)
    cluster.workers()
    cluster.fleet.grow(DEVICE)  # as for a run that waits, but so that none ends while it starts
    until(lambda: len(cluster.workers()) == 2)
    (name,) = {one.name for one in cluster.workers()} - {FIRST.name}
    pace.set(0.5)
    keys = [engine.submit(small(seed)) for seed in (110, 111, 112)]
    for key in keys[:2]:
        wait_for_blocks(engine, key, 1)
    assert [engine.view(key).worker for key in keys] == [*labels.values(), ""]
    assert engine.view(keys[2]).state == "queued" and engine.health().places == tuple(labels.values())
    processes = client(engine).run(lambda: (os.getpid(), os.environ.get(CUDA)))
    second = next(address for address in processes if address != first)
    assert processes[second][1] == "1" and processes[first][1] == os.environ.get(CUDA)

    wait_for_blocks(engine, keys[1], 3)
    os.kill(processes[second][0], signal.SIGKILL)  # it affects its own run only
    pace.set(0)
    view = ended(engine, keys[1])
    assert view.state == "interrupted"
    assert "was killed" in view.message and "A retry resumes after block" in view.message
    cluster._embedded.end(name)  # instead of a restart, which takes seconds; the forced kill had one
    folder = engine.store.folder(keys[1])
    assert isinstance(folder.events()[-1], Interrupted)
    assert ended(engine, keys[0]).state == "finished" and ended(engine, keys[2]).state == "finished"

    assert engine.submit(small(111)) == keys[1]
    view = ended(engine, keys[1])
    assert view.state == "finished" and (view.record.resumed or 0) >= 3
    assert any(isinstance(event, Resumed) for event in folder.events())
    assert (view.record.dense, view.record.pruned) == (expected.dense, expected.pruned)
    masks, others = folder.blocks.masks("b"), undisturbed.blocks.masks("b")
    assert masks.keys() == others.keys() and all(torch.equal(masks[name], others[name]) for name in masks)


def test_closing_the_engine_ends_its_processes(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker
) -> None:
    """The last test with this engine."""
    pace.set(1)
    key = engine.submit(small(120))
    wait_for_blocks(engine, key, 1)
    children = family(os.getpid())
    engine.close()
    engine.close()
    until(lambda: gone(children))
    assert engine.view(key).state == "interrupted" and "app was closed" in engine.view(key).message
    with pytest.raises(EngineError, match="closed"):
        engine.submit(small(121))
    assert "closed" in engine.measure(key).message


@pytest.fixture(scope="module")
def questioned() -> list[str]:
    """A process that is asked several questions while it starts as a worker does: what it says."""
    program = """
import sys, threading
from engine.jobs import worker

def summarise():
    from engine.models.summary import summarise
    return summarise("demo", measure_speed=False)

worker._has_run.set()  # the warm-up only imports, and computes nothing
found = []
ask = lambda: found.append(worker.call(summarise))
threads = [*(threading.Thread(target=ask) for _ in range(4)), threading.Thread(target=worker.warm_up)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*(type(one.value).__name__ for one in found))
print(*{"torch._dynamo.eval_frame", "torch.distributed.tensor", "scipy.optimize"} & set(sys.modules))
import torch
print(torch.compile(torch.neg, backend="eager")(torch.ones(1)).item())
"""
    return subprocess.check_output([sys.executable, "-c", program], text=True, timeout=120).splitlines()


def test_questions_during_the_start_of_a_worker_are_all_answered(questioned: list[str]) -> None:
    """Each of them imports the model library, which two threads must not do at once."""
    assert questioned[0].split() == ["ModelSummary"] * 4


def test_a_worker_imports_no_library_before_it_is_used(questioned: list[str]) -> None:
    """torch's compiler and other parts that transformers imports take seconds; later they are there."""
    assert questioned[1:] == ["", "-1.0"]
