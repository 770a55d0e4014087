"""What a run will cost, said before the click: time, memory, download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.cost import estimate
from engine.jobs.views import SummaryView
from pages.widgets.fields import Checked

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

POLL = 0.5


def draw_cost(engine: BackgroundEngine, checked: Checked, summary: SummaryView) -> None:
    """The estimate; while the model's shape is not known yet, why, looking again twice a second."""
    if summary.state == "pending":
        st.fragment(_wait, run_every=POLL)(engine, checked)
    elif engine.status.state == "failed":
        st.error(engine.status.message, icon=":material/error:")
    elif checked.recipe is None:
        st.caption(":material/error: This recipe cannot run yet; what to mend is said beside it in red.")
    elif summary.summary is not None:
        st.caption(f":material/schedule: {estimate(checked.recipe, summary.summary).sentence}")


def _wait(engine: BackgroundEngine, checked: Checked) -> None:
    if engine.summary(checked.fields["model"], checked.fields["revision"]).state != "pending":
        st.rerun()
    if engine.status.state == "starting":
        st.caption(":material/hourglass_top: The engine is starting; what the run will cost appears in a moment.")
    else:
        st.caption(":material/hourglass_top: Looking at the model; what the run will cost appears in a moment.")
