"""Presenting: a talk's views one after the other, in larger type, without the sidebar and the menu, moved by
the arrow keys or a remote.

Whether a tab presents, and at which view, is the tab's own matter; the address stays that of the page, so it
can still be shared. `?present=3` opens a tab at the third view.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import StoreError

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.store.talk import Talk, View

HERE = Path(__file__).parent
PARAMETER, TALK, PLACE = "present", "talk", "talk.place"
KEYS = st.components.v2.component(
    "presenter_keys", html="<span hidden></span>", js=(HERE / "presenter.js").read_text(encoding="utf-8")
)
LOOK = f"<style>{(HERE / 'presenter.css').read_text(encoding='utf-8')}</style>"


def presenting() -> bool:
    """Whether this tab presents."""
    return PLACE in st.session_state


def page_file(view: View) -> str:
    """The page's file, as Streamlit wants it."""
    return f"pages/{view.page}.py"


def open_presenter() -> None:
    """Begin where the address asks for it; before any page is drawn."""
    asked = st.query_params.get(PARAMETER)
    if asked is None or st.session_state.get("talk.asked") == asked:
        return
    st.session_state["talk.asked"] = asked
    if asked.isdigit():
        from pages.widgets.engine_handle import (
            shared_engine,  # (starting the engine is the pages' own first thing, behind their imports)
        )

        begin(shared_engine(), int(asked) - 1)


def begin(engine: BackgroundEngine, place: int = 0) -> None:
    """Present the prepared talk from one of its views on."""
    from engine.store.talk import load_talk  # (it imports torch, which the app's first page may not need)

    try:
        talk = load_talk(engine.store.home)
    except StoreError as error:
        st.session_state["talk.error"] = str(error)
        return
    if talk.views:
        st.session_state[TALK] = talk
        st.session_state[PLACE] = min(max(place, 0), len(talk.views) - 1)
        st.session_state["talk.moved"] = True


def end() -> None:
    """Back to the app."""
    st.session_state.pop(PLACE, None)


def draw_presenter() -> None:
    """The look, the keys and the line that says where the talk is; for `app.py`, before the page."""
    if not presenting():
        return
    st.html(LOOK)
    talk: Talk = st.session_state[TALK]
    place: int = st.session_state[PLACE]
    if st.session_state.pop("talk.moved", False):
        _go()
    last = place == len(talk.views) - 1
    with st.bottom:
        back, title, on, close = st.columns([1, 6, 1, 1], vertical_alignment="center")
        back.button(
            "Back",
            key="talk.back",
            icon=":material/arrow_back:",
            on_click=_step,
            args=(-1,),
            disabled=place == 0,
        )
        title.markdown(
            f"**{place + 1} of {len(talk.views)}** · {talk.views[place].title}", text_alignment="center"
        )
        on.button(
            "Next", key="talk.next", icon=":material/arrow_forward:", on_click=_step, args=(1,), disabled=last
        )
        close.button("End", key="talk.end", icon=":material/close:", on_click=end)


def listen() -> None:
    """Have the keys listened to: always, so that a talk's first key finds somebody, and before all else in
    `app.py`.

    A run that is cut off before it has come to a component forgets what that has sent.
    """
    data = [st.session_state[PLACE], len(st.session_state[TALK].views) - 1] if presenting() else None
    KEYS(key="unseen.keys", data=data, on_to_change=_pressed, on_end_change=_pressed)


def _pressed() -> None:
    pressed = st.session_state.get("unseen.keys")
    if not presenting() or pressed is None:  # the same press came twice, or to a run that was cut off
        return
    if pressed.get("end"):
        end()
    elif pressed.get("to") is not None:
        _move(int(pressed["to"]))


def _step(by: int) -> None:
    _move(st.session_state[PLACE] + by)


def _move(to: int) -> None:
    place = min(max(to, 0), len(st.session_state[TALK].views) - 1)
    if place != st.session_state[PLACE]:
        st.session_state["talk.moved"] = True
        st.session_state[PLACE] = place


def _go() -> None:
    """Open the view that the talk is at."""
    from engine.store.talk import HOME_PAGE  # (as above)

    st.session_state.pop("talk.moved", None)
    view = st.session_state[TALK].views[st.session_state[PLACE]]
    if view.page == HOME_PAGE:
        for name in ("fields", "run", "address"):  # Explore takes its address for new
            st.session_state.pop(name, None)
    st.switch_page(page_file(view), query_params=view.parameters)
