"""Preparing a talk and stepping through it."""

from __future__ import annotations

import pytest

from engine.recipe import Recipe
from engine.store.runs import Store
from engine.store.talk import Talk, View
from engine.store.talks import Talks
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()


@pytest.fixture
def store(engine, tmp_path):
    engine.store = Store(tmp_path / "home")
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    talk = Talk(
        views=(
            View(title="First", page="explore", parameters={"run": WANDA.key, "focus": "depth"}),
            View(title="Second", page="methods"),
        )
    )
    Talks(engine.store.home).save(talk)
    return engine.store


def saved(store):
    return Talks(store.home).load("My talk")


def open_present(open_app):
    return open_app("present")


def test_the_default_talk_is_there_at_first(open_app, engine, tmp_path):
    engine.store = Store(tmp_path / "home")
    app = open_present(open_app)
    assert "The text falls apart" in words(app)
    assert not app.button(key="present.start").disabled


def test_views_are_moved_removed_and_added(open_app, store):
    app = open_present(open_app)
    healthy(app.button(key="present.Later.0").click().run())
    assert [view.title for view in saved(store).views] == ["Second", "First"]
    healthy(app.button(key="present.remove.0").click().run())
    assert [view.title for view in saved(store).views] == ["First"]
    app.text_input(key="present.link").set_value("http://localhost:8501/compare?x=1")
    app.text_input(key="present.title").set_value("Curves")
    healthy(next(button for button in app.button if button.label == "Add this view").click().run())
    assert saved(store).views[-1] == View(title="Curves", page="compare", parameters={"x": "1"})


def test_an_invalid_link_is_an_error_and_changes_nothing(open_app, store):
    app = open_present(open_app)
    app.text_input(key="present.link").set_value("http://localhost:8501/nowhere")
    app = healthy(next(button for button in app.button if button.label == "Add this view").click().run())
    assert "no page nowhere" in words(app)
    assert len(saved(store).views) == 2


def test_a_damaged_talk_is_an_error_message(open_app, store):
    (store.home / "talks/My talk.json").write_text("nonsense")
    assert "cannot be read" in words(open_present(open_app))


def test_presentation_mode_shows_one_view_at_a_time(open_app, store):
    app = open_app(present="1")
    assert "**1 of 2** · First" in words(app)
    assert len(app.get("plotly_chart")) == 1
    assert app.button(key="talk.back").disabled and not app.button(key="talk.next").disabled
    app.button(key="talk.next").click().run()
    assert app.session_state["talk.place"] == 1, (
        "(AppTest does not follow to another page; the browser test does)"
    )


def test_the_end_button_stays_on_the_page(open_app, store):
    app = healthy(open_app(present="2").button(key="talk.end").click().run())
    assert " of 2**" not in words(app)


def test_a_link_starts_at_a_view(open_app, store, monkeypatch):
    app = open_app(present="2")
    assert "**2 of 2** · Second" in words(app)


@pytest.mark.parametrize("position", ["x", "-1", ""])
def test_an_invalid_position_starts_no_talk(open_app, store, position):
    assert " of 2**" not in words(open_app(present=position))


def test_a_live_view_has_a_prune_button_without_the_sidebar(open_app, store, engine):
    Talks(store.home).save(Talk(views=(View(title="Live", page="explore"),)))
    app = open_app(present="1")
    healthy(app.button(key="prune.stage").click().run())
    assert engine.submitted == [WANDA]


@pytest.mark.parametrize("part", ["numbers", "depth", "everything", "nonsense"])
def test_one_part_of_a_run(open_app, store, part):
    app = open_app(run=WANDA.key, focus=part)
    charts = {"numbers": 0, "depth": 1}.get(part)
    assert len(app.get("plotly_chart")) == charts if charts is not None else len(app.get("plotly_chart")) > 3
