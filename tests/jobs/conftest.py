"""Shared by the tests of runs in the background: small recipes, a store, an engine whose worker can be slowed
down.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.jobs.embedded import ROOT
from engine.jobs.service import BackgroundEngine
from engine.jobs.views import RunView
from engine.store.runs import Store
from tests.jobs.pace import Pace

BLOCKS = 8  # of the bundled model
PATIENCE = 120.0  # seconds: generous, for a machine that others use too


@pytest.fixture(scope="session")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pace]:
    yield Pace(tmp_path_factory.mktemp("pace") / "seconds")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, pace: Pace) -> Iterator[BackgroundEngine]:
    """An engine with its embedded cluster, whose runs take `pace` more seconds a block. Starting one takes
    seconds, so all tests share it: those that change it stand at the end of test_service.py.
    """
    made = BackgroundEngine(Store(tmp_path_factory.mktemp("home")), grace=1.0)
    made.start()
    until(lambda: made.status.state == "ready")
    pace.govern(made)
    yield made
    made.close()


@contextmanager
def process(*command: str, cwd: Path = ROOT, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process, by default in the repository, which is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=cwd, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all processes have ended."""
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def until(condition: Callable[[], object], patience: float = PATIENCE) -> float:
    """Wait for a condition; the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < patience, "it did not come to pass"
        time.sleep(0.02)
    return time.monotonic() - start


def ended(engine: BackgroundEngine, key: str) -> RunView:
    """The run's view once it has ended."""
    until(lambda: not engine.view(key).active)
    return engine.view(key)


def wait_for_blocks(engine: BackgroundEngine, key: str, blocks: int) -> None:
    """Wait until the run has finished `blocks` blocks."""
    until(lambda: engine.view(key).state == "running" and len(engine.view(key).record.blocks) >= blocks)
