"""Slowing the worker down: a plugin wraps `engine.run.run` in every worker process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Worker, WorkerPlugin

from engine.jobs.service import BackgroundEngine


class Pace:
    """Seconds that each block takes longer, in a file that the worker reads at every block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, seconds: float) -> None:
        written = self.path.with_suffix(".new")  # renamed into place: the worker may read at any moment
        written.write_text(str(seconds))
        written.replace(self.path)

    def govern(self, engine: BackgroundEngine) -> None:
        """Make the engine's worker keep to this pace."""
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        client(engine).register_plugin(Slow(str(self.path)))


class Slow(WorkerPlugin):
    """Waits before each block's event, when its weights are kept already."""

    name = "tests-slow"

    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self, worker: Worker) -> None:
        from engine.jobs.worker import _has_run, import_libraries

        _has_run.set()  # so that the warm-up does not compute a run, for the first user's sake
        import_libraries()  # not at the same time as the warm-up: `transformers` would be half initialised
        import engine.run

        real, path = engine.run.run, self.path

        def slow(*args: Any) -> Iterator[Any]:
            for event in real(*args):
                if event.event == "block_pruned":
                    time.sleep(float(Path(path).read_text()))
                yield event

        engine.run.run = slow


def client(engine: BackgroundEngine) -> Any:
    """The engine's Dask client."""
    assert engine._cluster is not None
    return engine._cluster.client


def worker_pid(engine: BackgroundEngine) -> int:
    """The worker process."""
    (pid,) = client(engine).run(os.getpid).values()
    return int(pid)
