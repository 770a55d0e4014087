"""What stands in place of a pruned model that is not on this machine: a recorded run is its numbers alone, and one click computes the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.jobs.views import RunView
from pages.widgets import session

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine


def draw_compute_here(engine: BackgroundEngine, view: RunView) -> None:
    """Say what is missing, and offer to compute it."""
    recipe = view.record.recipe
    if recipe is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        took = numbers.seconds(view.record.elapsed)
        st.markdown(
            f"This run is here as numbers, without its weights. To let it write, or to save it, compute it here (it took {took}).",
            width="stretch",
        )
        st.button("Compute it here", key="compute", icon=":material/play_arrow:", on_click=session.try_again, args=(engine, recipe))
