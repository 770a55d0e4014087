"""Back and Forward on Explore: an address shows the same view again, whatever was under way."""

from __future__ import annotations

import pytest
import streamlit as st
from streamlit.runtime.state.query_params import QueryParams

from engine.recipe import Recipe
from pages.widgets.explore import address_bar
from tests.pages.conftest import address, go_in_history, healthy, hold, visit
from tests.pages.fakes import run_view


def recipe(sparsity: float, **fields: object) -> Recipe:
    return Recipe.build(sparsity=sparsity, **fields)


@pytest.fixture(autouse=True)
def stored(engine):
    for one in (recipe(0.3), recipe(0.5), recipe(0.7), recipe(0.5, pruner="ria")):
        engine.views[one.key] = run_view(one, "finished", recorded=True)
    return engine


ABOVE_RUN, BELOW_FORM = "welcome.draw_active", "run_view.draw_choice"


@pytest.fixture
def cut_short(monkeypatch):
    """Runs the page, which is ended early, as by the next request of the browser: below its form, or above
    the run.
    """

    def run(act, where=BELOW_FORM):
        with monkeypatch.context() as patch:
            patch.setattr(f"pages.widgets.explore.{where}", lambda *_: st.stop())
            return act()

    return run


def move(app, sparsity):
    return healthy(app.slider(key="form.sparsity").set_value(sparsity).run())


def shown(app):
    return app.header[0].value, app.slider(key="form.sparsity").value


def test_back_and_forward_show_what_their_address_says(open_app):
    app = go_in_history(move(open_app(), 70))
    assert shown(app) == ("Wanda 50% on demo", 50)
    app = go_in_history(app, run=recipe(0.3).key)
    assert shown(app) == ("Wanda 30% on demo", 30)


def test_the_address_is_written_before_the_page_is_drawn(open_app, cut_short):
    app = open_app()
    app = cut_short(lambda: move(app, 70), ABOVE_RUN)
    assert not app.header and address(app) == {"sparsity": "0.7"}


def test_back_wins_over_a_change_that_the_page_has_not_shown_yet(open_app):
    app = move(open_app(), 70)
    app.slider(key="form.sparsity").set_value(30)
    assert shown(go_in_history(app)) == ("Wanda 50% on demo", 50)


def test_back_corrects_an_address_that_arrives_late(open_app, monkeypatch):
    app, sent = move(open_app(), 70), []
    monkeypatch.setattr(
        address_bar.st.query_params.__class__, "from_dict", lambda _, query: sent.append(query)
    )
    go_in_history(app)
    assert sent == [{}], "although the request said that the browser holds it"


@pytest.mark.parametrize(("widget", "old"), [("slider:form.sparsity", 70), ("selectbox:form.pruner", "ria")])
def test_values_that_the_browser_has_not_got_are_no_edits(open_app, cut_short, widget, old):
    kind, _, key = widget.partition(":")
    app = open_app()
    app = healthy(getattr(app, kind)(key=key).set_value(old).run())
    app = cut_short(lambda: go_in_history(app))
    getattr(app, kind)(key=key).set_value(old)  # as the browser shows it: the slider's new value was lost
    app = healthy(app.run())
    assert shown(app) == ("Wanda 50% on demo", 50) and address(app) == {}
    assert app.selectbox(key="form.pruner").value == "wanda"


def test_an_edit_after_a_run_that_was_cut_short_counts(open_app, cut_short):
    app = move(open_app(), 70)
    app = cut_short(lambda: go_in_history(app))
    assert shown(move(app, 30)) == ("Wanda 30% on demo", 30)


@pytest.mark.parametrize("sparsity", [30, None])
def test_a_request_with_an_older_address_undoes_no_edit(open_app, sparsity):
    app = move(open_app(), 70)
    hold(app)  # as the browser that has not yet got the address of 70 %
    app = move(app, sparsity) if sparsity else healthy(app.run())
    assert shown(app) == (f"Wanda {sparsity or 70}% on demo", sparsity or 70)


def test_a_link_to_an_address_that_the_page_has_left_is_followed(open_app, monkeypatch):
    monkeypatch.setattr(address_bar, "ARRIVES", 0.0)
    key = recipe(0.3).key
    app = move(open_app(run=key), 70)
    hold(app, run=key)
    assert shown(healthy(app.run())) == ("Wanda 30% on demo", 30)


@pytest.fixture
def entries(monkeypatch):
    """The addresses that the browser is told."""
    told, send = [], QueryParams._send_query_param_msg

    def note(params):
        told.append(params.to_dict())
        send(params)

    monkeypatch.setattr(QueryParams, "_send_query_param_msg", note)
    return told


def test_another_lesson_is_one_entry_of_the_history(engine, entries):
    parameters = {"lesson": "by_hand", "step": "leaderboard", "by_hand.removed": "ff", "q.by_hand.beat": "c"}
    app = visit("learn", **parameters, lock="1")
    entries.clear()
    healthy(app.button(key="learn.open.list").click().run())
    assert entries == [{"lock": "1"}]


def test_another_place_in_the_microscope_is_one_entry_of_the_history(engine, entries):
    asked = {
        "run": recipe(0.5).key,
        "block": "3",
        "linear": "mlp.up_proj",
        "rows": "32-63",
        "columns": "0-15",
    }
    engine.views[recipe(0.5).key] = run_view(recipe(0.5), "finished")
    app = visit("microscope", **asked)
    entries.clear()
    healthy(app.button(key="m.whole").click().run())
    assert entries == [{name: asked[name] for name in ("run", "block", "linear")}]


def test_arriving_at_the_microscope_is_one_entry_of_the_history(engine, entries):
    key = recipe(0.5).key
    engine.views[key] = run_view(recipe(0.5), "finished")
    worst = engine.views[key].record.worst
    visit("microscope")
    assert entries == [{"run": key, "block": str(worst[0]), "linear": worst[1]}]


def test_arriving_at_a_run_without_weights_is_one_entry_of_the_history(entries):
    app = visit("microscope")
    assert len(entries) == 1 and entries[0] == address(app) and set(entries[0]) == {"run"}


def test_arriving_at_two_runs_is_one_entry_of_the_history(entries):
    visit("compare", section="Two runs")
    assert [set(entry) for entry in entries] == [{"section", "one", "other"}]


def test_leaving_a_class_is_one_entry_of_the_history(engine, entries):
    engine.create_class("a")
    lesson = {"lesson": "by_hand", "step": "leaderboard", "by_hand.removed": "ff"}
    app = visit("learn", **lesson, **{"class": "a", "teacher": "1"})
    entries.clear()
    healthy(app.button(key="class.leave").click().run())
    assert entries == [lesson]
