"""Presentation mode: step through the views of a talk, in larger type and without sidebar and menu, by the
arrow keys or a remote.

Whether a browser tab presents, and which view it shows, is part of the session. The address stays that of the
current page, so it can still be shared. `?present=3` starts a tab at the third view.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import StoreError
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.store.talk import Talk, View

HERE = Path(__file__).parent
PARAMETER, TALK, POSITION = "present", "talk", "talk.place"
KEYS = st.components.v2.component(
    "presenter_keys", html="<span hidden></span>", js=(HERE / "presenter.js").read_text(encoding="utf-8")
)
STYLE = f"<style>{(HERE / 'presenter.css').read_text(encoding='utf-8')}</style>"


def is_presenting() -> bool:
    """Return whether this browser tab is in presentation mode."""
    return POSITION in st.session_state


def page_file(view: View) -> str:
    """Return the path of the view's page, as Streamlit expects it."""
    return f"pages/{view.page}.py"


def start_from_address() -> None:
    """Start presenting if the address says so; `app.py` calls this before it draws a page."""
    requested = st.query_params.get(PARAMETER)
    if requested is None or st.session_state.get("talk.asked") == requested:
        return  # a request that was already followed must not restart the talk on every rerun
    st.session_state["talk.asked"] = requested
    if requested.isdigit():
        # Importing the engine takes seconds, so it waits until a talk really starts.
        from pages.widgets.engine_handle import shared_engine

        start(shared_engine(), int(requested) - 1)  # the address counts views from 1


def start(engine: BackgroundEngine, position: int = 0) -> None:
    """Present the prepared talk, starting at the view with this index."""
    try:
        talk = engine.talk(engine.latest_talk())
    except StoreError as error:
        st.session_state["talk.error"] = str(error)
        return
    if talk.views:
        st.session_state[TALK] = talk
        st.session_state[POSITION] = min(max(position, 0), len(talk.views) - 1)
        st.session_state["talk.moved"] = True


def stop() -> None:
    """Leave presentation mode."""
    st.session_state.pop(POSITION, None)


def draw_presenter() -> None:
    """Draw the style and the bar at the bottom, and open the current view if it has changed.

    `app.py` calls this before it draws the page. Outside presentation mode it draws nothing.
    """
    if not is_presenting():
        return
    st.html(STYLE)
    talk: Talk = st.session_state[TALK]
    position: int = st.session_state[POSITION]
    # Removed before the view opens: switching pages ends this run, and the next one would switch again.
    if st.session_state.pop("talk.moved", False):
        _open_view(talk.views[position])
    last = len(talk.views) - 1
    with st.bottom:
        # The buttons carry the target, not a step, so that a repeated click cannot skip a view.
        back, title, forward, close = st.columns([1, 6, 1, 1], vertical_alignment="center")
        back.button(
            "Back",
            key="talk.back",
            icon=":material/arrow_back:",
            on_click=_go_to,
            args=(position - 1,),
            disabled=position == 0,
        )
        title.markdown(
            f"**{position + 1} of {len(talk.views)}** · {literal(talk.views[position].title)}",
            text_alignment="center",
        )
        forward.button(
            "Next",
            key="talk.next",
            icon=":material/arrow_forward:",
            on_click=_go_to,
            args=(position + 1,),
            disabled=position == last,
        )
        close.button("End", key="talk.end", icon=":material/close:", on_click=stop)


def listen_for_keys() -> None:
    """Mount the component that sends key presses; `app.py` calls this first.

    It is mounted even outside presentation mode, so that the first key of a talk is not lost. It comes first
    because a script run that is cancelled before it reaches a component loses what the component has sent.
    """
    # as `presenter.js` reads it: position and last position, from 0
    data = [st.session_state[POSITION], len(st.session_state[TALK].views) - 1] if is_presenting() else None
    KEYS(key="unseen.keys", data=data, on_to_change=_on_key, on_end_change=_on_key)


def _on_key() -> None:
    pressed = st.session_state.get("unseen.keys")
    if not is_presenting() or pressed is None:  # Streamlit repeated the press, or the run was cancelled
        return
    if pressed.get("end"):
        stop()
    elif pressed.get("to") is not None:
        _go_to(int(pressed["to"]))


def _go_to(position: int) -> None:
    position = min(max(position, 0), len(st.session_state[TALK].views) - 1)
    if position != st.session_state[POSITION]:
        st.session_state["talk.moved"] = True
        st.session_state[POSITION] = position


def _open_view(view: View) -> None:
    from engine.store.talk import HOME_PAGE  # imports torch, as in `start`

    if view.page == HOME_PAGE:
        for name in ("fields", "run", "address"):  # otherwise Explore would keep its state over the address
            st.session_state.pop(name, None)
    st.switch_page(page_file(view), query_params=view.parameters)
