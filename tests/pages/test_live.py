"""An answer may arrive at any moment; nothing that the user sees or has chosen is lost by it."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from engine.jobs.questions import Answer
from engine.recipe import Recipe
from pages.widgets.redraw import REQUESTED
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()
PAGES = Path(__file__).parents[2] / "pages"
REACTING_TO_A_CLICK = {
    "page_setup.py",
    "text_picker.py",
    "talk_files.py",
    "views.py",
    "actions.py",
    "importing.py",
    "links.py",
}
"""Where a script run may be aborted: before anything is drawn, or after a click."""


def asked_to_follow(app) -> bool:
    return any("redraw_ask" in item.proto.component_name for item in app.get("bidi_component"))


def test_an_answer_that_arrives_while_the_page_is_drawn_does_not_abort_it(engine, open_app, monkeypatch):
    """The form looks first, then the part that waits for the answer, which has come by then.

    A page that is cut off never tells the browser what its widgets hold; the browser would show, and send,
    the first of each list.
    """
    known, asked = engine.model, []

    def summary(model, revision=None):
        asked.append(model)
        return Answer(pending=True) if len(asked) == 1 else known

    timers, fragment = [], st.fragment

    def timed(function, *, run_every=None):
        timers.append(run_every)
        return fragment(function, run_every=run_every)

    monkeypatch.setattr(engine, "summary", summary)
    monkeypatch.setattr(st, "fragment", timed)
    app = open_app(pruner="ria", sparsity="0.7")
    assert any(timers), "the part has a next turn, although the answer came before its first"
    assert len(asked) > 1, "the part that waits has looked again"
    assert not asked_to_follow(app), "it asks at its next turn: the page is being drawn"
    for key in ("form.pruner", "form.model"):
        assert app.selectbox(key=key).proto.set_value, "the browser receives the value"
    assert app.slider(key="form.sparsity").proto.set_value and app.slider(key="form.sparsity").value == 70
    assert address(healthy(app.run())) == {"pruner": "ria", "sparsity": "0.7"}


def test_a_redraw_with_an_outdated_address_keeps_the_run_that_was_just_started(engine, open_app):
    """The browser may not have heard of the new address when it asks."""
    recipe = Recipe.build(sparsity=0.7)
    engine.views[recipe.key] = run_view(recipe, "running")
    app = open_app(sparsity="0.7")
    before = dict(app.query_params)
    healthy(app.button(key="prune").click().run())
    assert address(app)["run"] == recipe.key
    app.query_params.clear()
    for name, value in before.items():
        app.query_params[name] = value
    app.session_state[REQUESTED] = True
    assert address(healthy(app.run()))["run"] == recipe.key


def test_only_reactions_to_a_click_call_rerun():
    found = {
        path.name
        for path in PAGES.rglob("*.py")
        if re.search(r"\bst\.rerun\(", path.read_text(encoding="utf-8"))
    }
    assert found == REACTING_TO_A_CLICK


def test_texts_are_requested_as_soon_as_the_run_ends(engine, open_app, monkeypatch):
    engine.views[WANDA.key], asked = run_view(WANDA, "running"), []

    def look(engine, key):
        engine.views[key] = run_view(WANDA, "finished")  # it ends after the page has looked
        return engine.views[key]

    def text(request):
        asked.append(request)
        return Answer(pending=True)

    monkeypatch.setattr("pages.widgets.explore.run_view.find_view", look)
    monkeypatch.setattr(engine, "text", text)
    app = open_app(run=WANDA.key)
    assert len(asked) == 1 and "The same prompt" not in words(app), "the page still shows a running run"
    assert "The same prompt" in words(healthy(app.run()))
    assert len(asked) > 1 and len(set(asked)) == 1, "the page requests what was requested ahead"
