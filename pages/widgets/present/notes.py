"""The speaker's window: the notes of the current view, the next view, and the time since the talk began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.widgets.literal import literal, with_lists
from pages.widgets.live import live
from pages.widgets.present.presenter import POLL, TALK, Window, look, version_ahead

if TYPE_CHECKING:
    from engine.jobs.presentations import Presentation
    from engine.jobs.service import BackgroundEngine

TOGETHER = "All windows that present this talk or show its notes move together."


def draw_notes(engine: BackgroundEngine, window: Window) -> None:
    """Draw the window; `presenter.draw_presenter` draws the bar below it."""
    left, right = st.columns([5, 2], gap="medium")
    with left, st.container(key="speaker-notes"):  # `presenter.css` enlarges its text
        st.subheader(literal(window.view.title), anchor=False)
        st.markdown(with_lists(window.view.notes) or ":gray[No notes for this view.]")
    with right:
        live(
            "talk.notes",
            lambda: look(window),
            _draw_clock,
            left=version_ahead,
            every=POLL,
            seen=window.now,
        )
        st.button(
            "Reset the clock",
            key="talk.clock",
            icon=":material/timer:",
            on_click=engine.restart_clock,
            args=(window.name, window.room),
        )
        _draw_next(window)
        st.page_link(
            "pages/present.py",
            label="Edit the talk",
            icon=":material/edit:",
            query_params={TALK: window.name},
        )


def _draw_clock(now: Presentation) -> None:
    seconds = int(now.elapsed or 0)
    hours, minutes = divmod(seconds // 60, 60)
    shown = f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
    st.metric("Elapsed", "not started" if now.elapsed is None else shown)
    if now.windows == 0:
        st.caption(":material/cast_warning: No window presents this talk now.")
    elif now.windows > 1:
        st.caption(f":material/cast_connected: {now.windows} windows present this talk. {TOGETHER}")
    else:
        st.caption(f":material/cast_connected: {TOGETHER}")


def _draw_next(window: Window) -> None:
    position = window.now.position
    with st.container(border=True):
        st.caption("Next")
        if position < window.last:
            st.markdown(f"**{literal(window.now.talk.views[position + 1].title)}**")
        else:
            st.markdown(":gray[This is the last view.]")
