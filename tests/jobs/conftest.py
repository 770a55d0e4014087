"""Shared by the tests of runs in the background: small recipes, a store, an engine whose worker can be slowed down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: small work, and the same threads here and in the worker

import torch

from engine.jobs.background import BackgroundEngine
from engine.jobs.store import Store
from engine.jobs.views import RunView
from engine.pin import pin
from engine.recipe import Recipe
from tests.jobs.pace import Pace

torch.set_num_threads(1)
BLOCKS = 8  # of the bundled model
PATIENCE = 60.0  # seconds: generous, for a machine that others use too

RecipeMaker = Callable[..., Recipe]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tale.txt"
    path.write_text("Once there was a small green bird who wanted to see the wide sea and the high hills beyond it. " * 8)
    return path


@pytest.fixture(scope="session")
def small(corpus: Path) -> RecipeMaker:
    """Makes small pinned recipes of the bundled model; another seed is another run."""

    def make(seed: int = 0, **fields: object) -> Recipe:
        given = {"samples": 2, "length": 16, "evaluation": str(corpus), "seed": seed, **fields}
        return pin(Recipe.build(given))

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pace]:
    yield Pace(tmp_path_factory.mktemp("pace") / "seconds")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, pace: Pace) -> Iterator[BackgroundEngine]:
    """An engine with its embedded cluster, whose runs take `pace` more seconds a block."""
    made = BackgroundEngine(Store(tmp_path_factory.mktemp("home")), grace=1.0)
    made.start()
    until(lambda: made.status.state == "ready")
    pace.govern(made)
    yield made
    made.close()


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


def behind(engine: BackgroundEngine, key: str, blocks: int) -> None:
    """Wait until the run has finished so many blocks."""
    until(lambda: engine.view(key).state == "running" and len(engine.view(key).record.blocks) >= blocks)
