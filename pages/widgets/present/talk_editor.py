"""The editor of talks: which one, how it is started, and its views in order."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st

from engine.errors import PrunescopeError
from engine.store.talk import Talk
from pages.widgets.handouts.button import draw_talk_handout
from pages.widgets.literal import literal
from pages.widgets.present import presenter
from pages.widgets.present.changes import CHOSEN, NEXT, draw_undo
from pages.widgets.present.talk_files import draw_export, draw_management
from pages.widgets.present.views import draw_views
from pages.widgets.public_mode import draw_refusal

if TYPE_CHECKING:
    from engine.jobs.presentations import Presentation
    from engine.jobs.service import BackgroundEngine


def draw_editor(engine: BackgroundEngine) -> None:
    """Draw the choice of a talk, its views, and the buttons that start and change it."""
    # Containers in any case: Streamlit closes the expander below if its position changes, as by an error.
    with st.container():
        presenter.draw_error()
    with st.container():
        name = _choose(engine)
    talk: Talk | None = None
    with st.container():
        try:
            talk = engine.talk(name)
            _draw_start(engine, talk, engine.presentation(name, presenter.room_of(engine)))
        except PrunescopeError as error:
            st.error(literal(error), icon=":material/error:")
    draw_undo()
    off = draw_refusal(engine, engine.save_talk)
    if not off:
        draw_management(engine, name, talk)
    if talk is not None:
        draw_views(engine, talk, may_change=not off)
    st.caption(
        "Right arrow or Page Down: next view. Left arrow or Page Up: previous view. Escape: end. "
        "While a control has the keyboard focus, the arrow keys belong to it."
    )


def _choose(engine: BackgroundEngine) -> str:
    """Draw the choice of a talk and return its name; at first, that in the address or the latest one."""
    names = engine.talks()
    in_address, latest = st.query_params.get(presenter.TALK), engine.latest_talk()
    if (following := st.session_state.pop(NEXT, None)) is not None:
        st.session_state[CHOSEN] = following
    if st.session_state.get(CHOSEN) not in names:
        if in_address and in_address not in names and not presenter.is_requested():
            st.error(
                f"There is no talk “{literal(in_address)}”. Choose another one.", icon=":material/link_off:"
            )
        st.session_state[CHOSEN] = in_address if in_address in names else latest
    name = st.selectbox("Talk", names, key=CHOSEN, width=420)
    if name != (in_address or latest):
        st.query_params[presenter.TALK] = name
    return name


def _draw_start(engine: BackgroundEngine, talk: Talk, now: Presentation) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Join" if now.windows else "Start",
            key="present.start",
            type="primary",
            icon=":material/slideshow:",
            disabled=not talk.views,
            on_click=presenter.start,
            args=(engine, talk.name),
        )
        parameters = {presenter.TALK: talk.name, presenter.NOTES: "1"}
        if room := presenter.room_of(engine):
            parameters[presenter.ROOM] = room
        st.link_button(
            "Open the notes in another window",
            f"?{urlencode(parameters)}",  # of this page
            icon=":material/speaker_notes:",
            disabled=not talk.views,
        )
        draw_talk_handout(engine, talk)
        draw_export(talk)
    if now.windows:
        st.info(
            f"This talk is being presented: view {now.position + 1} of {len(now.talk.views)}. **Join** shows "
            "the same view here. All windows that present a talk move together.",
            icon=":material/cast_connected:",
        )
    elif not talk.views:
        st.info("This talk has no views yet. Add a view below.", icon=":material/slideshow:")
