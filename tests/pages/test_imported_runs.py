"""Imported runs on the pages: those of other versions break nothing, all are marked, and can be verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.charts.report import report
from engine.charts.tables import block_table, linear_table
from engine.cli.report import summary
from engine.errors import RecipeError
from engine.events import to_line
from engine.export.command_line import command
from engine.export.model_card import model_card
from engine.jobs.service import BackgroundEngine
from engine.recipe import Recipe, pin
from engine.store.import_run import import_run
from engine.store.runs import Store
from pages.widgets import engine_handle
from tests.pages.conftest import healthy, visit, words
from tests.pages.fakes import FINISHED, events, run_view

OWL = pin(Recipe.build(allocation="owl", sparsity=0.6))
STRANGE = {
    "unknown score": {"score": "nova"},
    "unknown allocation": {"allocation": "galaxy"},
    "unknown update": {"update": "nebula"},
    "unknown refinement": {"refinement": "comet"},
    "unknown pattern": {"pattern": "hexagons"},
    "no pattern": {"pattern": "0:4"},
    "unknown settings": {"settings": {"nova.spin": 3, "owl.m": "lots", "owl.limit": -4}},
    "no settings": {"settings": {}},
    "unknown task": {"tasks": ["mystery"]},
    "far texts": {"calibration": "/nowhere/a.txt", "evaluation": ["/nowhere/b.txt", "C:\\texts\\c.txt"]},
    "markup": {"model": "![x](http://evil.example/x.png)", "score": "**bold**"},
}


def imported(store: Store, **recipe: object) -> str:
    lines = [json.loads(to_line(event)) for event in events(OWL, end=FINISHED)]
    lines[0]["recipe"].update(recipe)
    return import_run(store, "\n".join(map(json.dumps, lines)).encode(), "colleague.jsonl")


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> tuple[Store, dict[str, str]]:
    """A store with a run of each kind, and their keys."""
    home = tmp_path_factory.mktemp("strange")
    store = Store(home / "home", recorded=home / "none")
    return store, {name: imported(store, **recipe) for name, recipe in STRANGE.items()}


@pytest.fixture
def idle(strange, monkeypatch):
    """The real engine, which is never started: everything that it is asked stays pending."""
    monkeypatch.setattr(BackgroundEngine, "start", lambda self: None)
    engine = BackgroundEngine(strange[0])
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: engine)
    return engine


@pytest.mark.parametrize("name", STRANGE)
def test_explore_shows_a_run_of_another_version(idle, strange, name):
    app = visit(run=strange[1][name])
    assert "55.03" in words(app) + str([metric.value for metric in app.metric])
    assert "(imported)" in app.header[0].value
    if name.startswith("unknown") and name.split()[1] in ("score", "allocation"):
        (value,) = STRANGE[name].values()
        assert value in app.header[0].value


@pytest.mark.parametrize(
    ("page", "parameters"),
    [
        ("runs", {}),
        *(("compare", {"section": section}) for section in ("Curves", "Leaderboard", "Table", "Sweep")),
        ("microscope", {}),
        ("generate", {}),
        ("methods", {}),
        ("present", {}),
    ],
)
def test_no_page_breaks_because_of_runs_of_other_versions(idle, page, parameters):
    visit(page, **parameters)


@pytest.mark.parametrize("name", ["unknown score", "unknown allocation", "no pattern", "unknown settings"])
def test_files_are_made_of_a_run_of_another_version(strange, name):
    store, keys = strange
    record = store.find(keys[name]).record()
    assert record.recipe is not None
    assert "55.03" in report(record) and "imported" in report(record)
    assert "(imported)" in summary(record)
    for table in (block_table(record), linear_table(record)):
        assert set(table["origin"]) == {"imported"}
    assert command(record.recipe) and model_card(record)
    assert json.loads(record.model_dump_json())["key"].startswith("imported-")


@pytest.mark.parametrize("name", ["unknown score", "unknown settings", "unknown pattern", "unknown task"])
def test_a_recipe_of_another_version_is_refused_before_it_is_queued(idle, strange, name):
    recipe = strange[0].find(strange[1][name]).record().recipe
    with pytest.raises(RecipeError):
        idle.submit(recipe)
    assert idle.active() == []


def test_imported_runs_are_families_of_their_own(idle, strange):
    app = visit("compare", section="Table")
    table = app.dataframe[0].value
    assert len(table) and all(name.endswith("(imported)") for name in table["family"])
    assert not table["own"].any()


def test_a_run_is_verified_on_the_runs_page(open_app, engine, tmp_path: Path):
    engine.store = Store(tmp_path / "home")
    key = imported(engine.store)
    engine.views[key] = run_view(OWL, "finished")
    engine.views[key] = type(engine.views[key])(
        engine.store.find(key).record(), "finished", imported=True, has_weights=False
    )
    engine.runs = engine.store.list
    engine.becomes = "finished"
    app = open_app("runs")
    app = healthy(app.selectbox(key="runs.one").set_value(key).run())
    app = healthy(app.button(key="verify").click().run())
    assert engine.submitted == [OWL]
    assert any("Confirmed" in item.value for item in app.success)


def test_a_run_that_cannot_be_computed_here_is_not_verified(idle, strange):
    app = visit("runs")
    app = healthy(app.selectbox(key="runs.one").set_value(strange[1]["far texts"]).run())
    app = healthy(app.button(key="verify").click().run())
    (error,) = app.error
    assert "cannot be computed here" in error.value and "does not exist" in error.value
    assert idle.active() == []
