"""A user who types or clicks while the page is being drawn: Streamlit ends that run of the page and starts
another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlit.config import get_option
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

from engine.recipe import Recipe
from tests.pages.conftest import address


def interrupted_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function; during its first call, a request of the browser arrives."""
    requests = iter([RerunData(widget_states=WidgetStates())])

    def call(*args: Any, **keywords: Any) -> Any:
        for request in requests:
            context = get_script_run_ctx()
            assert context is not None and context.script_requests is not None
            context.script_requests.request_rerun(request)
        return function(*args, **keywords)

    return call


def test_the_form_keeps_its_values(open_app, engine, monkeypatch):
    """Streamlit drops what a run that ends early has not sent, here the form's upper half."""
    monkeypatch.setattr(engine, "capacity", interrupted_once(engine.capacity))
    app = open_app(sparsity="0.7", pruner="sparsegpt", samples="9", evaluation="wikitext2")
    # Otherwise the browser would show the widget's default, and send it back.
    assert app.slider(key="form.sparsity").proto.set_value and app.slider(key="form.sparsity").value == 70
    assert app.number_input(key="form.samples").proto.set_value
    assert app.multiselect(key="form.evaluation").proto.set_value
    assert app.selectbox(key="form.pruner").proto.set_value
    assert address(app) == {
        "pruner": "sparsegpt",
        "sparsity": "0.7",
        "samples": "9",
        "evaluation": "wikitext2",
    }
    app.button(key="prune").click().run()
    assert engine.submitted == [
        Recipe.build(pruner="sparsegpt", sparsity=0.7, samples=9, evaluation="wikitext2")
    ]


def test_a_complete_run_leaves_what_the_user_is_typing(open_app):
    app = open_app(sparsity="0.7").run()
    assert not app.slider(key="form.sparsity").proto.set_value


def test_a_request_does_not_end_the_run_that_handles_a_click():
    """It is merged with requests that wait; with fast reruns it would replace them."""
    assert get_option("runner.fastReruns") is False
