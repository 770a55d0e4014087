"""Preparing a talk: its views in order, each opened, moved or removed by a click; a new one is a link that
was copied from the browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError, StoreError
from engine.store.talk import Talk, View, load_talk, reset_talk, save_talk, view_from_link
from pages.widgets.present import presenter

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

PAGES = ("explore", "compare", "microscope", "generate", "learn", "methods", "runs")
LINK_HELP = "Open the view in another tab, copy its address, and paste it here: everything that a link shows can be part of a talk."


def draw_talk(engine: BackgroundEngine) -> None:
    """The list, how to add to it, and the way into the talk."""
    if sentence := st.session_state.pop("talk.error", ""):
        st.error(sentence, icon=":material/error:")
    try:
        talk = load_talk(engine.store.home)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        start = {"type": "primary", "icon": ":material/slideshow:", "disabled": not talk.views}
        st.button("Start", key="present.start", on_click=presenter.begin, args=(engine,), **start)  # type: ignore[arg-type]
        st.button(
            "The usual ten minutes",
            key="present.usual",
            icon=":material/restart_alt:",
            on_click=_do,
            args=(reset_talk, engine.store.home),
        )
    if not talk.views:
        st.info(
            "This talk has no views yet. Add one below, or take the usual ten minutes.",
            icon=":material/slideshow:",
        )
    for place, view in enumerate(talk.views):
        _draw_view(engine, talk, place, view)
    _draw_adding(engine, talk)
    st.caption(
        "Right arrow or Page Down: next. Left arrow or Page Up: back. Escape: end. A control that has the keyboard keeps its arrows."
    )


def _draw_view(engine: BackgroundEngine, talk: Talk, place: int, view: View) -> None:
    home, last = engine.store.home, len(talk.views) - 1
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{place + 1}** · {view.title}  \n:gray[{view.page.capitalize()} {_shown(view)}]",
            width="stretch",
        )
        st.page_link(
            presenter.page_file(view),
            label="Open",
            icon=":material/open_in_new:",
            query_params=view.parameters,
        )
        moves = (
            (-1, ":material/arrow_upward:", "Earlier", place == 0),
            (1, ":material/arrow_downward:", "Later", place == last),
        )
        for by, icon, label, stuck in moves:
            key = f"present.{label}.{place}"
            st.button(
                label,
                key=key,
                icon=icon,
                disabled=stuck,
                on_click=_do,
                args=(save_talk, home, talk.moved(place, by)),
            )
        st.button(
            "Remove",
            key=f"present.remove.{place}",
            icon=":material/delete:",
            on_click=_do,
            args=(save_talk, home, talk.without(place)),
        )


def _shown(view: View) -> str:
    """The view's parameters in a line, keys of runs shortened."""
    return ", ".join(
        f"{name} {value[:8] if name == 'run' else value}" for name, value in view.parameters.items()
    )


def _draw_adding(engine: BackgroundEngine, talk: Talk) -> None:
    with st.form("present.add", clear_on_submit=True):
        link, title = st.columns(2)
        address = link.text_input(
            "Link of a view", key="present.link", placeholder="https://…/compare?…", help=LINK_HELP
        )
        name = title.text_input("What the audience reads beneath it", key="present.title")
        if st.form_submit_button("Add this view", icon=":material/add:") and address:
            _do(lambda: save_talk(engine.store.home, talk.with_view(view_from_link(address, PAGES, name))))
            st.rerun()


def _do(change: object, *args: object) -> None:
    """Change the talk; what stands in the way is said above it."""
    try:
        change(*args)  # type: ignore[operator]
    except PrunescopeError as error:
        st.session_state["talk.error"] = str(error)
