"""Runs with damaged folders next to sound ones: every page opens, and the damaged ones say what is wrong."""

from __future__ import annotations

import pytest

from engine.jobs.service import BackgroundEngine
from engine.store.runs import Store
from pages.widgets import engine_handle
from tests.pages.conftest import words
from tests.pages.test_foreign_text import visit
from tests.store.damages import DAMAGES

CHOSEN = (
    "first event and record missing",
    "tail of zeros as a line",
    "doubled events",
    "events reversed",
    "nothing in it",
    "a directory for events.jsonl",
    "a pipe for recipe.json",
)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The store, the key of a sound run, and the keys of the damaged ones."""
    store = Store(tmp_path_factory.mktemp("damaged") / "home")
    bundled = [run for run in store.recorded if run.recipe.allocation == "uniform"]
    keys = [run.key for run in bundled[: len(CHOSEN) + 1]]
    for key in keys:
        source, folder = store.find(key), store.folder(key)
        folder.create(source.recipe())
        (folder.path / "imported").touch()
        *events, end = source.events()
        for event in events:
            folder.append(event)
        folder.end(end)
    for key, damage in zip(keys, CHOSEN, strict=False):
        DAMAGES[damage](store.folder(key))
    (store.runs / "loop").symlink_to("loop")
    return store, keys[-1], keys[:-1]


@pytest.fixture
def engine(damaged, monkeypatch):
    """The real engine, which is never started."""
    monkeypatch.setattr(BackgroundEngine, "start", lambda self: None)
    engine = BackgroundEngine(Store(damaged[0].home))
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: engine)
    return engine


def test_the_list_tells_sound_and_damaged_runs_apart(engine, damaged):
    _, sound, others = damaged
    states = {run.key: run.state for run in engine.runs() if not run.recorded}
    assert states == {sound: "finished", **dict.fromkeys(others, "damaged")}


@pytest.mark.parametrize(
    ("page", "parameters"),
    [
        ("runs", {}),
        ("compare", {}),
        ("compare", {"section": "Two runs"}),
        ("compare", {"section": "Sweep"}),
        ("microscope", {}),
        ("generate", {}),
        ("present", {}),
    ],
)
def test_every_page_opens(engine, damaged, page, parameters):
    _, sound, others = damaged
    visit(page, **parameters, **dict.fromkeys(("run", "one"), others[0]), other=sound)


def test_each_damaged_run_says_so_on_explore_and_can_be_tried_again_on_runs(engine, damaged):
    _, _, others = damaged
    for key in others:
        assert "is damaged: " in words(visit(run=key))
    app = visit("runs")
    for key in others:
        app.selectbox(key="runs.one").set_value(key).run()
        assert not app.exception and "is damaged: " in words(app)
