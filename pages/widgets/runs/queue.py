"""What is being computed, and what waits for its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from pages.widgets.explore import session
from pages.widgets.live import redraw_page
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

POLL = 0.8
MOST = 12
"""Places of the queue that are shown; the others are counted."""


def draw_queue(engine: BackgroundEngine) -> None:
    """The queue, kept up to date; nothing where nothing goes on."""
    keys = engine.active()
    if keys:
        st.fragment(_draw, run_every=POLL)(engine, len(keys))


def _draw(engine: BackgroundEngine, before: int) -> None:
    keys = engine.active()
    with st.container(border=True):
        st.markdown(f"**Going on and waiting: {len(keys)}**")
        for key in keys[:MOST]:
            view = _view(engine, key)
            if view is not None and view.record.recipe is not None:
                bar, link, button = st.columns([6, 1, 1], vertical_alignment="bottom")
                bar.progress(share(view), text=f"{view.record.recipe.title} · {progress_words(view)}")
                link.page_link(
                    "pages/explore.py", label="Watch", icon=":material/visibility:", query_params={"run": key}
                )
                button.button(
                    "Cancel",
                    key=f"cancel.{key}",
                    icon=":material/stop:",
                    on_click=session.cancel,
                    args=(engine, key),
                )
        if len(keys) > MOST:
            st.caption(f"and {len(keys) - MOST} more")
    if len(keys) != before:  # one has ended: it is in the list now
        redraw_page("queue")


def _view(engine: BackgroundEngine, key: str) -> RunView | None:
    try:
        return engine.view(key)
    except PrunescopeError:
        return None
