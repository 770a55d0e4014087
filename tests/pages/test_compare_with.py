"""Explore compares the shown run with another one, chart by chart, and the address keeps the choice."""

from __future__ import annotations

import pytest

from engine.errors import PrunescopeError
from engine.recipe import Recipe
from pages.widgets.literal import literal
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

FIRST = Recipe.build(pruner="wanda", sparsity=0.6)
OTHER = Recipe.build(pruner="sparsegpt", sparsity=0.6)
FAR = Recipe.build(pruner="wanda", sparsity=0.3)


@pytest.fixture
def runs(engine):
    for recipe in (FIRST, FAR, OTHER):
        engine.views[recipe.key] = run_view(recipe, "finished")
    return engine


def choice(app):
    return app.selectbox(key="with.choice")


def alts(app):
    return " ".join(chart.proto.alt for chart in app.get("plotly_chart"))


def test_nothing_is_compared_at_first_and_related_runs_are_offered_first(open_app, runs):
    app = open_app(run=FIRST.key)
    assert choice(app).value == "" and "with" not in address(app)
    options = choice(app).options
    assert options[:2] == ["Nothing", "The dense model"] and options[2].startswith("SparseGPT 60%")
    missing = [place for place, option in enumerate(options) if "not computed yet" in option]
    far = next(place for place, option in enumerate(options) if option.startswith("Wanda 30%"))
    assert missing and min(missing) > 2 and max(missing) < far, "then what can be computed, then all others"
    assert "SparseGPT" not in alts(app)


def test_a_choice_is_drawn_into_all_charts_and_numbers_and_stands_in_the_address(open_app, runs):
    app = open_app(run=FIRST.key)
    before = len(app.get("plotly_chart"))
    choice(app).set_value(OTHER.key)
    healthy(app.run())
    assert address(app)["with"] == OTHER.key
    charts = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert len(charts) == before + 1, "the weight update that only SparseGPT has"
    assert len([alt for alt in charts if "SparseGPT 60%" in alt]) >= before
    assert [metric.delta for metric in app.metric][1] == "0.00 (55.03)"
    assert "Differs in score wanda → sparsegpt" in words(app)
    choice(app).set_value("")
    healthy(app.run())
    assert "with" not in address(app) and "SparseGPT" not in alts(app)


@pytest.mark.parametrize("key", [OTHER.key, "dense"])
def test_a_link_restores_the_comparison(open_app, runs, key):
    app = open_app(run=FIRST.key, **{"with": key})
    assert choice(app).value == key and address(app)["with"] == key
    assert ("SparseGPT 60%" if key == OTHER.key else "dense model") in alts(app)


def test_one_chart_alone_and_a_talk_keep_the_comparison(open_app, runs):
    app = open_app(run=FIRST.key, focus="depth", **{"with": OTHER.key})
    (chart,) = app.get("plotly_chart")
    assert "Wanda 60% and SparseGPT 60%" in chart.proto.alt
    assert len(open_app(run=FIRST.key, focus="recovery", **{"with": OTHER.key}).get("plotly_chart")) == 1


@pytest.mark.parametrize("key", ["nosuchrun", "*x* <b>"])
def test_an_unknown_key_gives_a_sentence(open_app, runs, key):
    app = open_app(run=FIRST.key, **{"with": key})
    (warning,) = [item.value for item in app.warning]
    assert "there is no run with that key here" in warning and literal(key) in warning
    assert choice(app).value == "" and len(app.get("plotly_chart")) == len(
        open_app(run=FIRST.key).get("plotly_chart")
    )


def test_the_run_itself_is_no_comparison(open_app, runs):
    app = open_app(run=FIRST.key, **{"with": FIRST.key})
    assert "This is the run itself" in words(app)


def test_what_does_not_exist_is_computed_at_a_click_and_joins(open_app, runs):
    missing = Recipe.build(pruner="magnitude", sparsity=0.6)
    app = open_app(run=FIRST.key)
    choice(app).set_value(missing.key)
    healthy(app.run())
    assert "Magnitude 60% on demo is not computed yet" in words(app) and not runs.submitted
    app.button(key="with.compute").click()
    healthy(app.run())
    assert [recipe.key for recipe in runs.submitted] == [missing.key]
    assert address(app)["with"] == missing.key and address(app)["run"] == FIRST.key
    assert "Magnitude" in app.get("progress")[0].proto.text
    runs.views[missing.key] = run_view(missing, "finished")
    assert "Magnitude 60%" in alts(healthy(app.run()))


def test_a_refusal_is_shown(open_app, runs, monkeypatch):
    def refuse(recipe):
        raise PrunescopeError("The queue is full.")

    monkeypatch.setattr(runs, "submit", refuse)
    app = open_app(run=FIRST.key, **{"with": Recipe.build(pruner="magnitude", sparsity=0.6).key})
    app.button(key="with.compute").click()
    assert "The queue is full." in words(healthy(app.run()))


def test_a_live_run_is_compared_with_a_stored_one(open_app, runs):
    runs.views[FIRST.key] = run_view(FIRST, "running", 3)
    app = open_app(run=FIRST.key, **{"with": OTHER.key})
    assert "SparseGPT 60%" in alts(app) and "SparseGPT 60% only" not in alts(app)
    runs.views[FIRST.key] = run_view(FIRST, "finished")
    assert "SparseGPT 60% only" in alts(healthy(app.run()))
