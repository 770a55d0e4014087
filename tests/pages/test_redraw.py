"""What a page waits for may come at any moment; nothing that a person sees or has chosen is lost by it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.jobs.views import SummaryView
from tests.pages.conftest import address, healthy

PAGES = Path(__file__).parents[2] / "pages"
ANSWERING_A_PRESS = {"entry.py", "text_picker.py", "talk_editor.py", "actions.py", "importing.py", "links.py"}
"""Where a run may be cut off: before anything was drawn, or behind a press."""


def asked_to_follow(app) -> bool:
    return any("redraw_ask" in item.proto.component_name for item in app.get("bidi_component"))


def test_a_model_that_becomes_known_while_the_page_is_drawn_does_not_cut_it_off(engine, open_app, monkeypatch):
    """A page that is cut off never tells the browser what its widgets hold; the browser would show, and send, the first of each list."""
    known, asked = engine.model, []

    def summary(model, revision=None):
        asked.append(model)
        return SummaryView("pending") if len(asked) == 1 else known

    monkeypatch.setattr(engine, "summary", summary)
    app = open_app(pruner="ria", sparsity="0.7")
    assert len(asked) > 1, "the part that waits has looked again"
    assert not asked_to_follow(app), "it asks at its next turn: the page is being drawn"
    for key in ("form.pruner", "form.model"):
        assert app.selectbox(key=key).proto.set_value, "the browser is told"
    assert app.slider(key="form.sparsity").proto.set_value and app.slider(key="form.sparsity").value == 70
    assert address(healthy(app.run())) == {"pruner": "ria", "sparsity": "0.7"}


def test_only_what_answers_a_press_runs_the_page_again_by_itself():
    found = {path.name for path in PAGES.rglob("*.py") if re.search(r"\bst\.rerun\(", path.read_text(encoding="utf-8"))}
    assert found == ANSWERING_A_PRESS
