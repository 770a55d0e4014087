"""A run whose weights are not on this machine: one button computes it, its progress is shown, and the page
goes on by itself when it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.recipe import Recipe
from engine.store.runs import RunSummary
from pages.widgets.live import live
from pages.widgets.progress import progress_words, share
from pages.widgets.run_picker import finished_runs

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

ASKED, REFUSED = "m.asked", "m.refused"


def choosable(engine: BackgroundEngine) -> list[RunSummary]:
    """The finished runs, and those that this tab has asked to be computed, so that none leaves the list while
    it is under way.
    """
    asked: dict[str, RunSummary] = st.session_state.setdefault(ASKED, {})
    finished = finished_runs(engine)
    known = {run.key for run in finished}
    return [*(run for key, run in asked.items() if key not in known), *finished]


def draw_absent(engine: BackgroundEngine, view: RunView, run: RunSummary, recipe: Recipe) -> None:
    """Why there is nothing to look at yet, and what can be done about it."""
    if view.active:
        live(
            "microscope.computing",
            lambda: engine.view(recipe.key),
            _draw_progress,
            left=lambda view: view.active,
        )
        return
    if view.state != "finished":
        st.error(view.record.error or view.message or f"This run was {view.state}.", icon=":material/error:")
    if refusal := st.session_state.pop(REFUSED, ""):
        st.error(refusal, icon=":material/error:")
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(_why(view), width="stretch")
        label = "Compute it here" if view.state == "finished" else "Try again"
        st.button(
            label,
            key="m.compute",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_compute,
            args=(engine, run, recipe),
        )


def _why(view: RunView) -> str:
    if view.state != "finished":
        return "What is looked at are the pruned weights, which this run has not got."
    took = numbers.seconds(view.record.elapsed)
    return f"This run is here as numbers, without its weights. Computing it here took {took} elsewhere; the result is the same."


def _compute(engine: BackgroundEngine, run: RunSummary, recipe: Recipe) -> None:
    try:
        st.session_state[ASKED][engine.submit(recipe)] = run
    except PrunescopeError as error:
        st.session_state[REFUSED] = str(error)


def _draw_progress(view: RunView) -> None:
    st.progress(share(view), text=progress_words(view))
    st.caption("The weights are being computed. This page continues automatically when they are ready.")
