"""The queue: running and queued runs with their progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from pages.widgets.engine_handle import find_view
from pages.widgets.literal import literal
from pages.widgets.live import live
from pages.widgets.page_setup import explore
from pages.widgets.progress import progress_words, share
from pages.widgets.public_mode import NOT_YOURS
from pages.widgets.runs.deleting import ERROR

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

POLL = 0.8  # seconds
MOST = 12
"""Runs that are shown; the others are counted."""


def draw_queue(engine: BackgroundEngine) -> None:
    """Draw the queue and keep it up to date; nothing is drawn while it is empty."""
    if engine.active():
        # Whenever a run ends, the page is drawn again, with the run in the list below.
        live("queue", engine.active, lambda keys: _draw(engine, keys), left=len, every=POLL)


def _draw(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    with st.container(border=True):
        st.markdown(f"**Running and queued: {len(keys)}**")
        for key in keys[:MOST]:
            view = find_view(engine, key)  # None if it was deleted since `active` was asked
            if view is not None and view.record.recipe is not None:
                bar, link, button = st.columns([6, 1, 1], vertical_alignment="bottom")
                bar.progress(
                    share(view), text=f"{literal(view.record.recipe.title)} · {progress_words(view)}"
                )
                link.page_link(
                    explore(), label="Watch", icon=":material/visibility:", query_params={"run": key}
                )
                button.button(
                    "Cancel",
                    key=f"cancel.{key}",
                    icon=":material/stop:",
                    disabled=not engine.may_change(key),
                    help=None if engine.may_change(key) else NOT_YOURS,
                    on_click=_cancel,
                    args=(engine, key),
                )
        if len(keys) > MOST:
            st.caption(f"and {len(keys) - MOST} more")


def _cancel(engine: BackgroundEngine, key: str) -> None:
    try:
        engine.cancel(key)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
