"""The editor of a talk: its views in order, with buttons to open, move or remove each; a link copied from the
browser adds a view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError, StoreError
from engine.store.talk import Talk, View, view_from_link
from pages.widgets.literal import literal
from pages.widgets.present import presenter
from pages.widgets.public_mode import draw_refusal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

LINK_HELP = (
    "Open the view in another tab, copy its address and paste it here. "
    "Everything that a link can show can be part of a talk."
)


def draw_talk(engine: BackgroundEngine) -> None:
    """Draw the views of the talk, the form that adds one, and the buttons that start and reset the talk."""
    if message := st.session_state.pop("talk.error", ""):
        st.error(literal(message), icon=":material/error:")
    try:
        talk = engine.talk(engine.latest_talk())
    except StoreError as error:
        st.error(literal(error), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start",
            key="present.start",
            type="primary",
            icon=":material/slideshow:",
            disabled=not talk.views,
            on_click=presenter.start,
            args=(engine,),
        )
        if engine.public is None:
            st.button(
                "Reset to the default 10-minute talk",
                key="present.usual",
                icon=":material/restart_alt:",
                on_click=_change_talk,
                args=(engine.delete_talk, talk.name),
            )
    if not talk.views:
        st.info(
            "This talk has no views yet. Add a view below, or reset to the default talk.",
            icon=":material/slideshow:",
        )
    for position, view in enumerate(talk.views):
        _draw_view(engine, talk, position, view)
    if not draw_refusal(engine, engine.save_talk):
        _draw_add_form(engine, talk)
    st.caption(
        "Right arrow or Page Down: next view. Left arrow or Page Up: previous view. Escape: end. "
        "While a control has the keyboard focus, the arrow keys belong to it."
    )


def _draw_view(engine: BackgroundEngine, talk: Talk, position: int, view: View) -> None:
    last = len(talk.views) - 1
    parameters = ", ".join(
        f"{name} {value[:8] if name == 'run' else value}" for name, value in view.parameters.items()
    )
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{position + 1}** · {literal(view.title)}  \n"
            f":gray[{view.page.capitalize()} {literal(parameters)}]",
            width="stretch",
        )
        st.page_link(
            presenter.page_file(view),
            label="Open",
            icon=":material/open_in_new:",
            query_params=view.parameters,
        )
        for by, icon, label, at_end in (
            (-1, ":material/arrow_upward:", "Earlier", position == 0),
            (1, ":material/arrow_downward:", "Later", position == last),
        ):
            st.button(
                label,
                key=f"present.{label}.{position}",  # by position: the same view may be in a talk twice
                icon=icon,
                disabled=at_end or engine.public is not None,
                on_click=_change_talk,
                args=(engine.save_talk, talk.moved(position, by)),
            )
        st.button(
            "Remove",
            key=f"present.remove.{position}",
            icon=":material/delete:",
            disabled=engine.public is not None,
            on_click=_change_talk,
            args=(engine.save_talk, talk.without(position)),
        )


def _draw_add_form(engine: BackgroundEngine, talk: Talk) -> None:
    def add(link: str, title: str) -> None:
        engine.save_talk(talk.with_view(view_from_link(link, title)))

    with st.form("present.add", clear_on_submit=True):
        left, right = st.columns(2)
        link = left.text_input(
            "Link to the view", key="present.link", placeholder="https://…/compare?…", help=LINK_HELP
        )
        title = right.text_input("Title that the audience sees", key="present.title")
        # Not a callback, because it needs the form's values; the list above lags by a view until the rerun.
        if st.form_submit_button("Add this view", icon=":material/add:") and link:
            _change_talk(add, link, title)
            st.rerun()


def _change_talk(change: Callable[..., None], *args: object) -> None:
    """Change the talk; an error message is shown above it in the next run of the script."""
    try:
        change(*args)
    except PrunescopeError as error:
        st.session_state["talk.error"] = str(error)
