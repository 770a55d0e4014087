"""The Runs page: the list, the queue, naming, deleting and restoring, and cleaning up."""

from __future__ import annotations

import pytest

from engine import run as engine_run
from engine.charts.run_table import matching, ordered
from engine.jobs.execute import execute
from engine.numbers import age
from engine.recipe import Recipe
from engine.store.runs import Store
from engine.store.summary import Label, RunSummary
from pages.widgets import run_picker
from pages.widgets.runs import listing
from tests.jobs import imitation
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

RECIPES = [
    Recipe.build(pruner=pruner, samples=3, length=16, evaluation=None)
    for pruner in ("wanda", "ria", "magnitude")
]


@pytest.fixture
def store(engine, tmp_path, monkeypatch):
    """A real store, used by the fake engine."""
    monkeypatch.setattr(engine_run, "run", imitation.run)
    engine.store = Store(tmp_path / "home")
    engine.runs = lambda: [*engine.store.list(), *engine.store.recorded]
    return engine.store


@pytest.fixture
def some(store):
    for recipe in RECIPES:
        execute(recipe, store.folder(recipe.key))
    return store


def choose(app, recipe):
    return healthy(app.selectbox(key="runs.one").set_value(recipe.key).run())


def test_without_runs_the_page_says_so_and_lists_the_bundled_ones(open_app, store):
    app = open_app("runs")
    assert "No runs of your own yet" in words(app)
    assert any("bundled runs (precomputed)" in expander.label for expander in app.expander)


def test_all_runs_are_listed_and_found(open_app, some):
    app = open_app("runs")
    assert "3 of 3 runs" in words(app)
    app = healthy(app.text_input(key="find").set_value("magnitude").run())
    assert "1 of 3 runs" in words(app)
    app = healthy(app.text_input(key="find").set_value("nothing of the kind").run())
    assert "0 of 3 runs" in words(app)


def test_a_long_list_offers_its_first_runs_and_a_search_for_the_others(open_app, some, monkeypatch):
    monkeypatch.setattr(listing, "OFFERED", 2)
    app = open_app("runs")
    assert "3 of 3 runs. The first 2 are listed: search for the others." in words(app)
    assert len(app.selectbox(key="runs.one").options) == 2
    app = healthy(app.text_input(key="find").set_value(RECIPES[0].key).run())
    assert app.selectbox(key="runs.one").options == [RECIPES[0].title]


def test_lists_offer_the_first_runs_the_bundled_ones_and_what_is_chosen(monkeypatch):
    monkeypatch.setattr(run_picker, "OFFERED", 2)
    runs = [RunSummary(key=key, state="finished", recorded=key == "z") for key in "abcdz"]
    assert run_picker.offered(runs, ["d"]) == ["a", "b", "d", "z"]


def test_a_run_is_named_and_pinned(open_app, some):
    app = choose(open_app("runs"), RECIPES[0])
    app = healthy(app.button(key="pin").click().run())
    next(field for field in app.text_input if field.label == "Name").set_value("Reference")
    healthy(next(button for button in app.button if button.label == "Save").click().run())
    label = next(run.label for run in some.list() if run.key == RECIPES[0].key)
    assert label == Label(name="Reference", pinned=True)


def test_deleting_can_be_undone(open_app, some):
    app = choose(open_app("runs"), RECIPES[0])
    app = healthy(app.button(key="delete.one").click().run())
    assert "1 run is in the trash" in words(app)
    assert len(some.list()) == 2
    app = healthy(app.button(key="undo").click().run())
    assert len(some.list()) == 3 and "in the trash" not in words(app)


def test_an_active_run_is_not_deleted_and_says_why(open_app, some):
    app = choose(open_app("runs"), RECIPES[0])
    with some.folder(RECIPES[0].key).lock():
        app = healthy(app.button(key="delete.one").click().run())
    assert "Cancel it first" in words(app)
    assert len(some.list()) == 3


def test_a_failed_run_is_tried_again(open_app, some, engine):
    some.folder(RECIPES[1].key).events_path.write_bytes(b"garbage\n")
    app = choose(open_app("runs"), RECIPES[1])
    assert "damaged" in words(app)


def test_the_queue_has_places_and_can_be_cancelled(open_app, some, engine):
    engine.views[RECIPES[0].key] = run_view(RECIPES[0], "running", blocks=2)
    engine.views[RECIPES[1].key] = run_view(RECIPES[1], "queued", place=2)
    app = open_app("runs")
    bars = [bar.proto.text for bar in app.get("progress")]
    assert any("Block 3 of 8" in text for text in bars) and any(
        "place 2 in the queue" in text for text in bars
    )
    healthy(app.button(key=f"cancel.{RECIPES[1].key}").click().run())
    assert engine.cancelled == [RECIPES[1].key]


def test_cleaning_up_shows_what_would_be_deleted(open_app, some):
    some.label(RECIPES[0].key, Label(pinned=True))
    app = open_app("runs")
    app = healthy(app.segmented_control(key="space.by").set_value("The largest").run())
    app = healthy(app.number_input(key="space.most").set_value(0).run())
    healthy(app.button(key="delete.space").click().run())
    assert [run.key for run in some.list()] == [RECIPES[0].key]


@pytest.mark.parametrize("parameters", [{"order": "Nonsense"}, {"find": "<b>"}])
def test_nonsense_in_the_address_is_the_usual_page(open_app, some, parameters):
    assert open_app("runs", **parameters).title[0].value == "Runs"


class TestList:
    runs = (
        RunSummary(key="a", state="finished", changed=10.0, size=5, recipe=RECIPES[0]),
        RunSummary(
            key="b",
            state="failed",
            changed=30.0,
            size=1,
            recipe=RECIPES[1],
            label=Label(name="Zebra", note="try more text"),
        ),
        RunSummary(
            key="c", state="finished", changed=20.0, size=9, recipe=RECIPES[2], label=Label(pinned=True)
        ),
    )

    def test_orders_with_pinned_first(self):
        assert [run.key for run in ordered(self.runs, "Newest")] == ["c", "b", "a"]
        assert [run.key for run in ordered(self.runs, "Size")] == ["c", "a", "b"]
        assert [run.key for run in ordered(self.runs, "Name")] == ["c", "a", "b"]

    def test_words_and_states(self):
        assert [run.key for run in matching(self.runs, "more ZEBRA", [])] == ["b"]
        assert [run.key for run in matching(self.runs, "", ["failed"])] == ["b"]
        assert [run.key for run in matching(self.runs, "wanda", ["failed"])] == []

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(3, "just now"), (61, "1 min"), (7200, "2 h"), (86_400, "1 day"), (200_000, "2 days")],
    )
    def test_ages(self, seconds, text):
        assert age(seconds) == text


def test_one_run_is_not_called_runs(open_app, store):
    execute(RECIPES[0], store.folder(RECIPES[0].key))
    app = open_app("runs")
    assert "1 of 1 run." in words(app)
    assert any("in 1 run, the disk has" in box.label for box in app.expander)


def test_selected_runs_are_exported_together(open_app, some):
    app = open_app("runs")
    app.session_state["runs.table"] = {"selection": {"rows": [0, 2], "columns": [], "cells": []}}
    app.session_state["export.several"] = True
    app = healthy(app.run())
    assert "**2 runs selected**" in words(app) and "**2 runs**." in words(app)
    names = [item.proto.label.split(" (")[0] for item in app.get("download_button")]
    assert names == ["Report", "CSV", "LaTeX", "Markdown"]
