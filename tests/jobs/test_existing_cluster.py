"""A cluster that was there before the app: a scheduler without our code, and a worker as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import VERSION
from engine.cli.diagnosis import CHECKS
from engine.cli.main import main
from engine.events import RunStarted
from engine.jobs import cluster, versions, worker_process
from engine.jobs.execute import execute
from engine.jobs.service import BackgroundEngine
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs.conftest import ended, family, process, until, wait_for_blocks
from tests.jobs.pace import Pace, client, worker_pid


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The scheduler's address."""
    directory = tmp_path_factory.mktemp("elsewhere")
    quiet = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    file = directory / "scheduler.json"
    with process("dask", "scheduler", "--port", "0", *quiet, "--scheduler-file", str(file), cwd=directory):
        until(lambda: file.exists() and file.stat().st_size > 0)  # it exists before it is written
        yield json.loads(file.read_text())["address"]


@pytest.fixture(scope="module")
def worker(scheduler: str) -> Iterator[subprocess.Popen[str]]:
    with process("engine", "worker", scheduler, "--name", "one", stderr=subprocess.PIPE) as started:
        assert started.stderr is not None
        assert "is connected to" in started.stderr.readline()
        yield started


@pytest.fixture(scope="module")
def engine(
    scheduler: str, worker: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackgroundEngine]:
    made = BackgroundEngine(Store(tmp_path_factory.mktemp("home")), scheduler)
    made.start()
    until(lambda: made.status.state == "ready")
    yield made
    made.close()


@pytest.fixture(scope="module")
def pace(engine: BackgroundEngine, tmp_path_factory: pytest.TempPathFactory) -> Pace:
    made = Pace(tmp_path_factory.mktemp("pace") / "seconds")
    made.govern(engine)
    return made


def test_runs_and_questions_need_no_code_of_ours_in_the_scheduler(
    engine: BackgroundEngine, scheduler: str, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not [child for child in family(os.getpid()) if "engine.jobs.serve" in child.cmdline()]
    key = engine.submit(small(1))
    assert ended(engine, key).state == "finished", engine.view(key).message
    until(lambda: engine.summary("demo").value is not None)
    ours = client(engine).run_on_scheduler(eval, "[m for m in __import__('sys').modules if 'engine.' in m]")
    assert ours == []
    until(lambda: engine.health().state == "ok")  # not at once while others use the machine
    monkeypatch.setenv("PRUNESCOPE_SCHEDULER", scheduler)
    monkeypatch.setenv("PRUNESCOPE_HOME", str(engine.store.home))
    (found,) = CHECKS["Worker"]("Worker")
    assert found.state == "ok" and f"version {VERSION}" in found.message and "CPU, " in found.message


def test_two_requests_for_one_recipe_share_the_computation(
    engine: BackgroundEngine, pace: Pace, scheduler: str, small: RecipeMaker
) -> None:
    pace.set(0.05)
    elsewhere = BackgroundEngine(Store(engine.store.home), scheduler)  # another app over the same store
    elsewhere.start()
    keys: list[str] = []
    asking = [
        threading.Thread(target=lambda e=e: keys.append(e.submit(small(20))))
        for e in [engine] * 3 + [elsewhere]
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(set(keys)) == 1 and engine.active() == [keys[0]]
    assert ended(engine, keys[0]).state == "finished"
    until(lambda: elsewhere.active() == [])
    assert elsewhere.view(keys[0]).record == engine.view(keys[0]).record
    elsewhere.close()
    pace.set(0)
    assert sum(isinstance(event, RunStarted) for event in engine.store.folder(keys[0]).events()) == 1


def test_a_worker_that_stops_answering_is_mentioned_and_recovers(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SILENT", 2.0)
    monkeypatch.setattr("engine.jobs.queue.LISTEN", 0.2)
    pace.set(0.3)
    key = engine.submit(small(2))
    wait_for_blocks(engine, key, 1)
    until(lambda: engine.view(key).worker == "one · CPU, 1 thread")
    assert engine.view(key).message == "" and engine.health().places == ("CPU, 1 thread",)
    process = worker_pid(engine)
    os.kill(process, signal.SIGSTOP)
    until(lambda: engine.view(key).message)
    view = engine.view(key)
    assert view.state == "running" and "The worker one has not answered since" in view.message
    os.kill(process, signal.SIGCONT)
    until(lambda: engine.view(key).message == "")
    pace.set(0)
    assert ended(engine, key).state == "finished" and worker_pid(engine) == process


def test_a_sweep_uses_the_cluster(
    scheduler: str,
    engine: BackgroundEngine,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("engine.jobs.execute.execute", None)  # nothing is computed in this process
    options = ["--samples", "2", "--length", "16", "--evaluation", str(corpus), "--sparsities", "0.5,0.6"]
    assert main(["sweep", "--pruners", "magnitude,wanda", *options, "--scheduler", scheduler]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and {line.split()[1] for line in lines[1:]} == {"magnitude", "wanda"}
    runs = Store().list()
    assert {run.state for run in runs} == {"finished"} and len(runs) == 4
    assert list((tmp_path / "home" / "queue").iterdir()) == []

    monkeypatch.setenv("PRUNESCOPE_SCHEDULER", scheduler)
    assert main(["sweep", "--pruners", "magnitude,wanda", *options]) == 0  # all from the store
    assert sorted(capsys.readouterr().out.splitlines()[1:]) == sorted(lines[1:])

    monkeypatch.undo()
    folder = Store(tmp_path / "home").folder(runs[0].key)
    alone = execute(folder.recipe(), Store(tmp_path / "other").folder(runs[0].key))
    assert (alone.dense, alone.pruned) == (folder.record().dense, folder.record().pruned)


def test_a_store_that_the_workers_do_not_see(
    scheduler: str, worker: object, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if on another disk
    monkeypatch.setattr("engine.jobs.cluster.atomic_files.write", lambda path, content: path)
    blind = BackgroundEngine(store, scheduler)
    try:
        blind.start()
        until(lambda: blind.status.state == "failed")
        assert (
            "does not see the run store" in blind.status.message and str(store.home) in blind.status.message
        )
    finally:
        blind.close()


def test_another_version_is_refused_on_either_side(
    scheduler: str,
    engine: BackgroundEngine,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (cluster, worker_process):
        monkeypatch.setattr(module, "current", lambda: "9.9.9 (results 9)")
    assert main(["worker", scheduler]) == 1
    message = capsys.readouterr().err
    assert f"is Prunescope {versions.current()}, but this worker is 9.9.9" in message
    assert len(message.splitlines()) == 1
    newer = BackgroundEngine(store, scheduler)
    try:
        newer.start()
        until(lambda: newer.status.state == "failed")
        assert f"has Prunescope {versions.current()}, but 9.9.9" in newer.status.message
    finally:
        newer.close()


@pytest.mark.parametrize(
    ("packages", "named"),
    [
        ({"python": "3.2.1.final.0"}, "Python 3.2"),
        ({"distributed": "1.0"}, "distributed 1.0"),
        ({"dask": None}, "dask of an unknown version"),
        ({"numpy": "1.0"}, ""),
        ({"python": f"{'.'.join(map(str, os.sys.version_info[:2]))}.99.final.0"}, ""),  # type: ignore[attr-defined]
    ],
)
def test_only_versions_that_matter_count(packages: dict[str, str | None], named: str) -> None:
    from distributed.versions import get_versions

    found = versions.difference(get_versions()["packages"] | packages)
    assert found.startswith(named) and bool(found) == bool(named)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tcp://127.0.0.1:9"], "The scheduler tcp://127.0.0.1:9 cannot be used"),
        (["nonsense"], "missing port"),
        (["tls://127.0.0.1:9"], "TLS"),
        (["tls://127.0.0.1:9", "--tls-ca-file", "/nowhere.pem"], "TLS"),
        (["tcp://127.0.0.1:9", "--device", "77"], "--device auto"),
        (["tcp://127.0.0.1:9", "--device", "first"], "--device auto"),
    ],
)
def test_a_worker_that_cannot_start_says_why_in_a_sentence(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_process, "CONNECT", 0.3)
    assert main(["worker", *arguments]) == 1
    message = capsys.readouterr().err
    assert said in message and len(message.splitlines()) == 1


def test_ctrl_c_ends_a_worker(
    scheduler: str, worker: subprocess.Popen[str], engine: BackgroundEngine
) -> None:
    """The last test: nothing else could use the worker."""
    engine.close()
    children = family(worker.pid)
    # As a terminal does: to the worker's processes, too.
    for one in [psutil.Process(worker.pid), *children]:
        one.send_signal(signal.SIGINT)
    _, said = worker.communicate(timeout=30)
    assert (worker.returncode, said) == (130, "Cancelled.\n")
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
