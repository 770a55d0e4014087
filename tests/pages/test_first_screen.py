"""Explore before the first click: the run of the form's recipe, or the nearest one, is there at once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.errors import StoreError
from engine.recipe import Recipe
from pages.widgets.explore import run_numbers, series_curve, shown_run, sparsity_marks
from pages.widgets.explore import run_view as run_view_module
from pages.widgets.explore.run_numbers import load_ahead  # before the tests replace it
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view


def recipe(sparsity: float, **fields: object) -> Recipe:
    return Recipe.build(sparsity=sparsity, **fields)


@pytest.fixture
def stored(engine):
    """Bundled runs of Wanda at 30, 50 and 70 %, and of RIA at 50 %."""
    for one in (recipe(0.3), recipe(0.5), recipe(0.7), recipe(0.5, pruner="ria")):
        engine.views[one.key] = run_view(one, "finished", recorded=True)
    return engine


def headings(app):
    return [item.value for item in app.header]


def label(app):
    return app.button(key="prune").label


def move(app, sparsity):
    return healthy(app.slider(key="form.sparsity").set_value(sparsity).run())


def is_faded(app):
    return any("st-key-nearest" in item.proto.body for item in app.get("html"))


def badges(app):
    return [item for item in words(app).split("\n") if "-badge[" in item]


def test_a_cold_start_shows_the_numbers_and_charts_of_the_default_recipe(stored, open_app):
    app = open_app()
    assert headings(app)[0] == "Wanda 50% on demo" and not is_faded(app)
    assert {metric.label: metric.value for metric in app.metric}["Pruned perplexity"] == "55.03"
    assert len(app.get("plotly_chart")) > 4
    assert any("computed earlier" in badge for badge in badges(app))
    assert label(app) == "Run it live" and address(app) == {} and stored.submitted == []


def test_the_badge_says_when_and_where_the_run_was_computed(stored, open_app):
    bundled = [item.help for item in open_app().markdown if "computed earlier" in item.value]
    assert bundled == [
        "Bundled with Prunescope; computed on 2026-01-01 on x86_64 (cpu, 2 threads), in 3.4 s."
    ]


def test_moving_the_slider_and_changing_the_pruner_shows_those_runs(stored, open_app):
    app = move(open_app(), 70)
    assert headings(app)[0] == "Wanda 70% on demo" and address(app) == {"sparsity": "0.7"}
    app = move(app, 50)
    app = healthy(app.selectbox(key="form.pruner").set_value("ria").run())
    assert headings(app)[0] == "RIA 50% on demo" and label(app) == "Run it live"
    assert stored.submitted == []


def test_between_two_runs_the_nearest_is_faded_and_named_and_the_slider_stays(stored, open_app):
    app = move(open_app(), 53)
    assert app.slider(key="form.sparsity").value == 53
    assert headings(app)[0] == "Wanda 50% on demo" and is_faded(app) and label(app) == "Prune"
    assert "Showing **Wanda 50 %**, the nearest computed sparsity. Press **Prune** for 53 %." in words(app)
    assert "Computed: 30, 50 and 70 %. Nearest: 50 %." in words(app)
    assert "Export" not in [item.value for item in app.subheader], "that is for the recipe's own run"
    app = healthy(app.button(key="prune").click().run())
    assert [one.sparsity for one in stored.submitted] == [0.53] and not is_faded(app)
    assert headings(app)[0] == "Wanda 53% on demo"


@pytest.mark.parametrize("fields", [{"pattern": "2:4"}, {"samples": "32"}, {"pruner": "magnitude"}])
def test_a_recipe_without_any_run_gets_the_forecast(stored, open_app, fields):
    app = open_app(**fields)
    assert not app.metric and "Choose" in words(app) and "Weights to be removed" in words(app)
    assert "Computed:" not in words(app) and label(app) == "Prune"


def test_from_a_recipe_without_runs_a_button_leads_back(stored, open_app):
    app = healthy(open_app().selectbox(key="form.pruner").set_value("magnitude").run())
    app = healthy(app.button(key="last").click().run())
    assert headings(app)[0] == "Wanda 50% on demo" and app.selectbox(key="form.pruner").value == "wanda"


def test_an_opened_run_stays_until_the_form_changes(stored, open_app):
    key = recipe(0.7).key
    app = open_app(run=key)
    assert headings(app)[0] == "Wanda 70% on demo" and address(app)["run"] == key
    app = move(app, 30)
    assert headings(app)[0] == "Wanda 30% on demo" and "run" not in address(app)


def test_a_started_run_that_is_left_goes_on_and_can_be_watched(stored, open_app):
    app = move(open_app(), 60)
    app = healthy(app.button(key="prune").click().run())
    started = stored.submitted[0].key
    app = move(app, 50)
    assert headings(app)[0] == "Wanda 50% on demo"
    app = healthy(app.button(key=f"watch.{started}").click().run())
    assert headings(app)[0] == "Wanda 60% on demo" and address(app)["run"] == started
    app = move(move(app, 50), 60)
    assert "Cancel" in [button.label for button in app.button], "the run of the form's recipe, under way"


def test_a_click_on_the_curve_or_a_mark_goes_to_that_sparsity(stored, open_app, monkeypatch):
    app = open_app()
    state = {"chart.series.0": {"selection": {"points": [{"x": 70}]}}, "marks": {"to": 30.0}}
    for go, sparsity in ((series_curve._go, 0.7), (sparsity_marks._go, 0.3)):
        moved = []
        with monkeypatch.context() as patch:
            for module in (series_curve, sparsity_marks):
                patch.setattr(module.st, "session_state", state)
                patch.setattr(module, "set_fields", moved.append)
            go()
        assert moved == [{"sparsity": sparsity}]
    assert "Perplexity against sparsity" in words(app)


def test_no_curve_for_a_single_run(engine, open_app):
    engine.views[recipe(0.5).key] = run_view(recipe(0.5), "finished")
    assert "Perplexity against sparsity" not in words(open_app())


def test_run_it_live_computes_a_bundled_run_here_and_an_own_one_again(stored, open_app):
    healthy(open_app().button(key="prune").click().run())
    assert [one.sparsity for one in stored.submitted] == [0.5] and stored.repeated == []
    stored.views[recipe(0.7).key] = run_view(recipe(0.7), "finished")
    app = open_app(sparsity="0.7")
    assert label(app) == "Run it live"
    app = healthy(app.button(key="prune").click().run())
    assert [one.sparsity for one in stored.repeated] == [0.7]
    assert address(app)["run"] == recipe(0.7).key


def test_an_own_run_that_took_long_is_replayed_instead(engine, open_app, monkeypatch):
    monkeypatch.setattr(shown_run, "LONGEST", 1.0)
    engine.views[recipe(0.5).key] = run_view(recipe(0.5), "finished")
    app = open_app()
    assert label(app) == "Replay"
    app = healthy(app.button(key="prune").click().run())
    assert engine.submitted == [] and "Close replay" in [button.label for button in app.button]


def test_a_talk_shows_the_stored_run_and_offers_it_live(stored, open_app, tmp_path):
    from engine.store.runs import Store

    stored.store = Store(tmp_path / "home")
    app = open_app(present="2")
    assert headings(app)[0] == "Wanda 50% on demo"
    assert app.button(key="prune.stage").label == "Run it live"


def test_a_button_that_opens_a_run_wins_over_an_edit_in_the_same_request(stored, open_app):
    app = healthy(open_app().selectbox(key="form.pruner").set_value("magnitude").run())
    app.number_input(key="form.seed").set_value(3)
    app = healthy(app.button(key="last").click().run())
    assert headings(app)[0] == "Wanda 50% on demo" and app.number_input(key="form.seed").value == 0


def test_a_run_whose_events_cannot_be_read_is_a_message(engine, open_app, monkeypatch):
    monkeypatch.setattr(shown_run, "LONGEST", 1.0)
    engine.views[recipe(0.5).key] = run_view(recipe(0.5), "finished")
    app = open_app()

    def damaged(key):
        raise StoreError("The run is damaged: its events cannot be read.")

    monkeypatch.setattr(engine, "events", damaged)
    assert "its events cannot be read" in words(healthy(app.button(key="prune").click().run()))


def test_many_runs_under_way_take_one_line(stored, open_app):
    for seed in range(1, 6):
        one = recipe(0.5, seed=seed)
        stored.views[one.key] = run_view(one, "queued", place=seed)
    app = open_app()
    assert len([button for button in app.button if button.label.startswith("Running:")]) == 3
    assert [link.proto.label for link in app.get("page_link") if "more" in link.proto.label] == ["and 2 more"]


def test_a_tab_gets_its_first_numbers_then_its_form_then_its_charts(stored, open_app, monkeypatch):
    # The browser shows what it has while the script waits.
    waits = []

    def wait(seconds):
        drawn = get_script_run_ctx().shared.widget_user_keys_this_run.snapshot()
        kinds = ("replay.begin", "form.pruner", "with.choice", "table.sparsity")
        waits.append((seconds, [kind for kind in kinds if kind in drawn]))

    monkeypatch.setattr(run_view_module, "HEAD_STARTS", (0.25, 0.5))
    monkeypatch.setattr(run_view_module, "time", SimpleNamespace(sleep=wait))
    app = open_app()
    assert waits == [(0.25, ["replay.begin"]), (0.5, ["replay.begin", "form.pruner", "with.choice"])]
    move(app, 60.0)
    assert len(waits) == 2, "only the first time"


def test_the_browser_loads_what_draws_a_number_beforehand(engine, open_app, monkeypatch):
    monkeypatch.setattr(run_numbers, "load_ahead", load_ahead)
    assert [(metric.label, metric.value) for metric in open_app(pruner="magnitude").metric] == [("", "")]


def test_a_bundled_run_whose_own_run_was_cancelled_is_shown_with_the_offer_to_try_again(stored, open_app):
    ended = "The run that was started here was cancelled after block 3."
    view = run_view(recipe(0.5), "finished", recorded=True)
    stored.views[recipe(0.5).key] = replace(view, attempt=ended)
    app = open_app()
    assert f"{ended} This is the bundled result." in words(app) and not app.error
    assert any("computed earlier" in badge for badge in badges(app)) and app.metric
    assert app.button(key="compute").label == "Try again", "the offer below the charts, too"
    healthy(app.button(key="again").click().run())
    assert [one.sparsity for one in stored.submitted] == [0.5]
