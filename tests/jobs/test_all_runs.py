"""The list of runs: the user's before the bundled ones, and none missing while it is being recomputed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import run as engine_run
from engine.events import to_line
from engine.jobs.execute import execute
from engine.jobs.service import BackgroundEngine
from engine.store.runs import Store
from tests.jobs import imitation


@pytest.fixture
def engine(tmp_path: Path) -> BackgroundEngine:
    return BackgroundEngine(Store(tmp_path / "home"))


def test_a_bundled_run_stays_in_the_list_while_it_is_computed_here(
    engine: BackgroundEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    known = engine.store.recorded[0]
    assert known.recipe is not None
    folder = engine.store.folder(known.key)
    folder.create(known.recipe)
    with folder.lock():
        folder.events_path.write_text(to_line(imitation.started(known.recipe)) + "\n")
        assert [(run.state, run.recorded) for run in engine.runs() if run.key == known.key] == [
            ("running", False),
            ("finished", True),
        ]
    execute(known.recipe, folder)
    assert [(run.state, run.recorded) for run in engine.runs() if run.key == known.key] == [
        ("finished", False)
    ]


def test_a_new_store_lists_the_bundled_runs(engine: BackgroundEngine) -> None:
    assert {run.key for run in engine.runs()} == {run.key for run in engine.store.recorded}
