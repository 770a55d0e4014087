"""What a worker computes before the first run, for that run, gives way to it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.jobs import worker


@pytest.mark.parametrize("run_begins_after", [0, 2])
def test_reading_ahead_ends_when_a_run_begins(
    run_begins_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_run, steps = threading.Event(), []

    def begin() -> None:
        if len(steps) == run_begins_after:
            has_run.set()

    def prepare_run(*given: Any) -> Iterator[None]:
        for block in range(5):
            steps.append(block)
            begin()
            yield

    monkeypatch.setattr(worker, "_has_run", has_run)
    monkeypatch.setattr("engine.run.prepare_run", prepare_run)
    begin()
    worker.read_ahead(str(tmp_path))
    assert len(steps) == run_begins_after
