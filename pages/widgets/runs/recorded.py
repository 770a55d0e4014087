"""The runs that came with the project, folded away: there are many, and they are not one's own."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from engine.charts.runs import found, run_table
from engine.jobs.store import RunSummary
from pages.widgets.run_picker import words


def draw_recorded(runs: Sequence[RunSummary]) -> None:
    """A list to find one in, and its links."""
    with st.expander(f"{len(runs)} recorded runs of the bundled model, which came with Prunescope", icon=":material/inventory_2:"):
        wanted = st.text_input("Find among them", key="runs.recorded", placeholder="wanda 60, 2:4, NeuroAL …", width=320)
        shown = found(runs, wanted or "", [])
        table = run_table(shown, time.time()).drop(columns=["", "state", "run", "age", "note"])
        st.dataframe(table, hide_index=True, height=300, alt="The recorded runs", column_config={"MB": st.column_config.NumberColumn(format="%.2f")})
        by_key = {run.key: run for run in shown}
        key = st.selectbox("Open one", list(by_key), None, format_func=lambda key: words(by_key[key]), key="runs.open", placeholder="Choose a run")
        if key:
            st.page_link("pages/explore.py", label="Explore", icon=":material/content_cut:", query_params={"run": key})
