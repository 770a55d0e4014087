"""The question that the user is asked once after a restart: what about the runs that were not done?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from pages.widgets.engine_handle import find_view
from pages.widgets.literal import literal
from pages.widgets.live import show_error
from pages.widgets.present.presenter import is_presenting

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

ERROR = "held.error"
MOST = 3
"""Runs whose titles are shown; the others are counted."""


def draw_held_runs(engine: BackgroundEngine) -> None:
    """Draw how many runs the last app left, and the buttons that continue or drop them."""
    # A container in any case: Streamlit recognizes the page's fragments by their position.
    with st.container():
        if message := st.session_state.pop(ERROR, ""):
            show_error(message)
        keys = engine.held()
        if keys and not is_presenting():
            _draw_question(engine, keys)


def _draw_question(engine: BackgroundEngine, keys: list[str]) -> None:
    views = [find_view(engine, key) for key in keys[:MOST]]
    titles = [literal(view.record.recipe.title) for view in views if view and view.record.recipe]
    if len(keys) > MOST:
        titles.append(f"and {len(keys) - MOST} more")
    runs = "One run was" if len(keys) == 1 else f"{len(keys)} runs were"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/pause_circle: **{runs} not done when the app ended**: {'; '.join(titles)}.",
            width="stretch",
        )
        st.button(
            "Continue",
            key="held.continue",
            type="primary",
            icon=":material/play_arrow:",
            help="In the order in which they were started. A run that had begun resumes after its last "
            "finished block.",
            on_click=_resume,
            args=(engine,),
        )
        st.button(
            "Drop",
            key="held.drop",
            icon=":material/close:",
            help="They are not computed. A run that had begun keeps its finished blocks.",
            on_click=engine.drop_held,
        )


def _resume(engine: BackgroundEngine) -> None:
    try:
        engine.resume_held()
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
