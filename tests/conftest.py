"""Fixtures shared by all tests: one thread, a tiny corpus, small recipes and an empty store.

Imports no torch by itself: the process that hands the tests to the others reads this file, too.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from engine.recipe import Recipe
    from engine.store.runs import Store

os.environ["OMP_NUM_THREADS"] = "1"  # small work, and the same threads here and in the worker; before torch
# Without stored bytecode, each of the many processes that the tests start compiles the libraries that it
# imports, which takes longer than the rest of its work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

NARROW_BLOCKS = 3
RecipeMaker = Callable[..., "Recipe"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tale.txt"
    path.write_text(
        "Once there was a small green bird who wanted to see the wide sea and the high hills beyond it. " * 8
    )
    return path


@pytest.fixture(scope="session")
def small(corpus: Path) -> RecipeMaker:
    """Makes small pinned recipes of the bundled model; another seed is another run."""
    from engine.recipe import Recipe, pin

    def make(seed: int = 0, **fields: object) -> Recipe:
        given = {"samples": 2, "length": 16, "evaluation": str(corpus), "seed": seed, **fields}
        return pin(Recipe.build(given))

    return make


@pytest.fixture(scope="session")
def narrow_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a model like the bundled one, with the same tokenizer, but with three blocks, a
    quarter as wide and with random weights: a run takes a fraction of the time. The weights are large enough
    for each of them to matter.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from engine.models.identity import DEMO_DIRECTORY

    directory = tmp_path_factory.mktemp("narrow")
    config = AutoConfig.from_pretrained(
        DEMO_DIRECTORY,
        num_hidden_layers=NARROW_BLOCKS,
        hidden_size=32,
        head_dim=8,
        intermediate_size=96,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO_DIRECTORY / name, directory)
    return str(directory)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    from engine.store.runs import Store

    return Store(tmp_path / "home")


@pytest.fixture
def log_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pytest.LogCaptureFixture]:
    """Catches what a module logs, whatever the libraries that other tests load in this process have made of
    logging: they may disable loggers, or replace the handlers and the level of the root.
    """

    def catch(module: str) -> pytest.LogCaptureFixture:
        logger = logging.getLogger(module)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "handlers", [caplog.handler])
        caplog.set_level(logging.WARNING, logger=module)
        return caplog

    return catch


SLOWEST_FIRST = (
    *("browser", "jobs", "pages", "pruning", "models", "evaluation"),
    *("test_installed.py", "cli", "test_run.py", "test_architecture.py", "export", "corpora", "charts"),
)
"""The folders and files that take longest. With them at the start, all processes end about together."""
TOGETHER = ("browser", "jobs")
"""Folders whose tests mostly wait for other processes: each stays in one process, while another computes."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than processors, because one of them usually waits for a browser or a cluster."""
    return min(4, (os.cpu_count() or 1) + 1)


def pytest_configure(config: pytest.Config) -> None:
    """Let each process collect the whole suite from another file on. In a fresh environment, whoever imports
    a module first compiles it, and stores the bytecode for the others.
    """
    gc.disable()  # until all modules are imported
    worker = getattr(config, "workerinput", None)
    if worker and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        files = sorted(map(str, (config.rootpath / "tests").rglob("test_*.py")))
        first = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        config.args = [*files[first:], *files[:first]]


def pytest_collection_finish() -> None:
    """Take what was imported, which stays, out of each garbage collection: that is most of all objects."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bring the tests into the order in which they run, which is the same in all processes."""
    rank = {folder: number for number, folder in enumerate(SLOWEST_FIRST)}

    def place(item: pytest.Item) -> tuple[int, Path]:
        return rank.get(item.path.relative_to(config.rootpath / "tests").parts[0], len(rank)), item.path

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why a test was tried again, also if it passed then."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"{report.nodeid} was tried again")
        terminalreporter.write_line(report.longreprtext)


class ByFile(LoadScopeScheduling):
    """Keep the tests of a file in one process, since they share its fixtures, and those of some folders."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return folder if folder in TOGETHER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFile(config, log)
