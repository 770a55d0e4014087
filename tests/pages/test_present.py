"""Stepping through a talk, and the window with its notes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.runtime.fragment import MemoryFragmentStorage

from engine.recipe import Recipe
from engine.store.runs import Store
from engine.store.talk import Talk, View
from engine.store.talks import Talks
from pages.widgets import redraw
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()


@pytest.fixture
def store(engine, tmp_path):
    engine.store = Store(tmp_path / "home")
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    talk = Talk(
        views=(
            View(
                title="First",
                page="explore",
                parameters={"run": WANDA.key, "focus": "depth"},
                notes="**Hello.** Say ![this](http://evil.example/x.png).\n- An item",
            ),
            View(title="Second", page="methods"),
        )
    )
    Talks(engine.store.home).save(talk)
    return engine.store


def test_presentation_mode_shows_one_view_at_a_time(open_app, store, engine):
    app = open_app(present="1")
    assert "**1 of 2** · First" in words(app)
    assert len(app.get("plotly_chart")) == 1
    assert app.button(key="talk.back").disabled and not app.button(key="talk.next").disabled
    app.button(key="talk.next").click().run()
    assert engine.presentation("My talk").position == 1, (
        "(AppTest does not follow to another page; the browser test does)"
    )


def test_the_end_button_stays_on_the_page(open_app, store):
    app = healthy(open_app(present="2").button(key="talk.end").click().run())
    assert " of 2**" not in words(app)


def test_a_link_starts_at_a_view(open_app, store, monkeypatch):
    app = open_app(present="2")
    assert "**2 of 2** · Second" in words(app)


def test_a_poll_of_the_page_before_is_never_answered(open_app, store, monkeypatch):
    """The browser polls the parts of a page until it hears of the next one. If Streamlit answers such a poll,
    it may drop what it has not sent of the next page: the browser then shows an empty window.
    """
    parts, fragment = [], st.fragment

    def named(function, **options):
        parts.append(function.__qualname__)
        return fragment(function, **options)

    monkeypatch.setattr(st, "fragment", named)
    open_app(present="1")
    first = {part for part in parts if "talk.follow" in part}
    parts.clear()
    open_app(present="2")
    assert first and first.isdisjoint(parts), "another page's part has another identity"

    storage, known = MemoryFragmentStorage(), []
    storage.register("old", lambda: None)
    monkeypatch.setattr(redraw, "get_script_run_ctx", lambda: SimpleNamespace(fragment_storage=storage))
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: known.append(storage.contains("old")))
    redraw.switch_page("pages/methods.py", {})
    assert known == [False]


def test_the_chart_of_compare_comes_before_its_controls(open_app, store, engine):
    Talks(store.home).save(Talk(views=(View(title="Curves", page="compare"),)))
    assert [item.label for item in open_app("compare").expander] == []
    app = open_app("compare", present="1")
    assert [item.label for item in app.expander] == ["Model and protocol", "Pruners and y-axis"]
    assert not any(item.proto.expanded for item in app.expander)


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


def notes(open_app, **parameters):
    return open_app("present", talk="My talk", notes="1", **parameters)


def test_the_notes_of_the_current_view(open_app, store, engine):
    app = notes(open_app)
    assert "**Hello.** Say !\\[this\\](http://evil.example/x.png)" in words(app), "bold, but no image"
    assert "**1 of 2** · First" in words(app) and "**Second**" in words(app)
    assert "No window presents this talk now" in words(app)
    assert app.metric[0].value == "not started"
    assert "present.start" not in {button.key for button in app.button}, "not the editor"
    engine.go_to_view("My talk", "", 1)
    app = notes(open_app)
    assert "No notes for this view" in words(app) and "the last view" in words(app)


def test_the_notes_follow_the_presented_window_and_move_it(open_app, store, engine):
    open_app(present="1")
    app = notes(open_app)
    assert "**1 of 2**" in words(app) and app.metric[0].value.startswith("0:")
    assert "move together" in words(app) and "No window" not in words(app)
    app.button(key="talk.next").click().run()
    # AppTest does not follow to another page; the browser test does
    assert engine.presentation("My talk").position == 1


def test_the_clock_is_reset(open_app, store, engine):
    app = notes(open_app)
    assert engine.presentation("My talk").elapsed is None
    healthy(app.button(key="talk.clock").click().run())
    assert engine.presentation("My talk").elapsed is not None


def test_notes_open_from_any_page(open_app, store):
    assert "**Hello.**" in words(open_app(talk="My talk", notes="1"))


def test_a_room_is_separate(open_app, store, engine):
    open_app(present="2", room="other")
    assert "**1 of 2**" in words(notes(open_app)) and "**2 of 2**" in words(notes(open_app, room="other"))


def test_a_talk_is_presented_by_name(open_app, store):
    Talks(store.home).save(Talk(name="Short", views=(View(title="Only", page="methods"),)))
    assert "**1 of 1** · Only" in words(open_app(present="1"))  # it was changed last
    assert "**2 of 2** · Second" in words(open_app(present="2", talk="My talk"))


@pytest.mark.parametrize("page", ["explore", "present"])
@pytest.mark.parametrize("parameters", [{"present": "1"}, {"notes": "1"}], ids=str)
@pytest.mark.parametrize("name", ["Unknown", "../talk"])
def test_a_talk_that_does_not_exist_is_an_error_message(open_app, store, page, parameters, name):
    app = open_app(page, talk=name, **parameters)
    assert "no talk “" in words(app) or "cannot be used for a talk" in words(app)
    assert len(app.error) == 1, "said once"
    assert "1 of 2**" not in words(app)
