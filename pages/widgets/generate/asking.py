"""Asking the worker about texts, and what stands there until it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.requests import ReadRequest
from engine.jobs.views import ReadingView
from pages.widgets.redraw import redraw_page

if TYPE_CHECKING:
    from engine.evaluation.passage import Reading
    from engine.jobs.background import BackgroundEngine

POLL = 0.3
Views = dict[ReadRequest, ReadingView]


def ask(engine: BackgroundEngine, requests: Sequence[ReadRequest]) -> Views:
    """What is known of each request; the first of them are answered first.

    The engine turns to what was asked last, but sends the very first question on at once: so the most urgent one is asked at both ends.
    """
    views = {request: _ask(engine, request) for request in (*requests[:1], *reversed(requests))}
    return {request: views[request] for request in requests}


def ask_in_turn(engine: BackgroundEngine, requests: Sequence[ReadRequest], urgent: int) -> Views:
    """The same where only the first few are looked at: the others are not asked before those are answered, for they would take the processor from
    them and from the browser that draws them.
    """
    views = ask(engine, requests[:urgent])
    rest = requests[urgent:]
    return views | (dict.fromkeys(rest, ReadingView("pending")) if is_pending(views) else ask(engine, rest))


def _ask(engine: BackgroundEngine, request: ReadRequest) -> ReadingView:
    try:
        return engine.read(request)
    except PrunescopeError as error:
        return ReadingView("failed", message=str(error))


def is_pending(views: Views) -> bool:
    """Whether there is something to wait for."""
    return any(view.state == "pending" for view in views.values())


def drawn(part: str, engine: BackgroundEngine, requests: Sequence[ReadRequest], draw: Callable[[Views], None]) -> None:
    """Draw the answers now, and again as they come; what is there is shown while others are on their way. `part`: its name on the page."""
    pending = is_pending(ask(engine, requests))

    def again() -> None:
        views = ask(engine, requests)
        draw(views)
        if pending and not is_pending(views):
            redraw_page(part)

    st.fragment(again, run_every=POLL if pending else None)()


def answered(engine: BackgroundEngine, view: ReadingView, height: int = 130) -> Reading | None:
    """The answer; where there is none, what is the matter stands in its place."""
    if view.state == "failed":
        st.error(view.message, icon=":material/error:")
    elif view.reading is None:
        st.skeleton(height=height)
        if engine.status.state != "ready":
            st.caption(engine.status.message)
    return view.reading
