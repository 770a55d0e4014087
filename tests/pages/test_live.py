"""What a page waits for may come at any moment; nothing that a person sees or has chosen is lost by it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.jobs.questions import Answer
from engine.recipe import Recipe
from pages.widgets.live import REQUESTED
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()
PAGES = Path(__file__).parents[2] / "pages"
ANSWERING_A_PRESS = {
    "page_setup.py",
    "text_picker.py",
    "talk_editor.py",
    "actions.py",
    "importing.py",
    "links.py",
}
"""Where a run may be cut off: before anything was drawn, or behind a press."""


def asked_to_follow(app) -> bool:
    return any("redraw_ask" in item.proto.component_name for item in app.get("bidi_component"))


def test_a_model_that_becomes_known_while_the_page_is_drawn_does_not_cut_it_off(
    engine, open_app, monkeypatch
):
    """A page that is cut off never tells the browser what its widgets hold; the browser would show, and send,
    the first of each list.
    """
    known, asked = engine.model, []

    def summary(model, revision=None):
        asked.append(model)
        return Answer(pending=True) if len(asked) == 1 else known

    monkeypatch.setattr(engine, "summary", summary)
    app = open_app(pruner="ria", sparsity="0.7")
    assert len(asked) > 1, "the part that waits has looked again"
    assert not asked_to_follow(app), "it asks at its next turn: the page is being drawn"
    for key in ("form.pruner", "form.model"):
        assert app.selectbox(key=key).proto.set_value, "the browser is told"
    assert app.slider(key="form.sparsity").proto.set_value and app.slider(key="form.sparsity").value == 70
    assert address(healthy(app.run())) == {"pruner": "ria", "sparsity": "0.7"}


def test_a_page_that_is_asked_for_with_an_address_of_before_keeps_the_run_that_was_just_started(
    engine, open_app
):
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


def test_only_what_answers_a_press_runs_the_page_again_by_itself():
    found = {
        path.name
        for path in PAGES.rglob("*.py")
        if re.search(r"\bst\.rerun\(", path.read_text(encoding="utf-8"))
    }
    assert found == ANSWERING_A_PRESS


def test_the_texts_of_a_run_that_ends_are_requested_before_the_page_follows(engine, open_app, monkeypatch):
    running, finished, looks, asked = run_view(WANDA, "running"), run_view(WANDA, "finished"), [], []
    engine.views[WANDA.key] = running

    def look(engine, key):
        looks.append(key)
        engine.views[WANDA.key] = (
            running if len(looks) == 1 else finished
        )  # it ends after the page has looked
        return engine.views[WANDA.key]

    def text(request):
        asked.append(request)
        return Answer(pending=True)

    monkeypatch.setattr("pages.widgets.explore.run_view.find_view", look)
    monkeypatch.setattr(engine, "text", text)
    app = open_app(run=WANDA.key)
    assert len(asked) == 1 and "The same prompt" not in words(app), "the page still shows a running run"
    assert "The same prompt" in words(healthy(app.run()))
    assert len(asked) > 1 and len(set(asked)) == 1, "the page requests what was requested ahead"
