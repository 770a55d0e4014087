"""Freeing space: what would go is shown before it does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.charts.runs import run_table
from engine.free import disk_free
from engine.jobs.space import largest_until, older_than
from engine.jobs.store import RunSummary
from pages.widgets.runs.deleting import draw_deletion

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine


def draw_space(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """How much there is, and which runs would go by age or by size."""
    total = sum(run.size for run in runs)
    free = disk_free(engine.store.home)
    with st.expander(
        f"Free space: {len(runs)} runs take {numbers.size(total)}, {numbers.size(free)} are free on the disk", icon=":material/cleaning_services:"
    ):
        by = st.segmented_control("Delete", ["The oldest", "The largest"], default="The oldest", key="space.by", required=True)
        if by == "The oldest":
            days = st.number_input("Older than, days", 0, 3650, 30, key="space.days", width=200)
            gone = older_than(runs, float(days), time.time())
        else:
            most = st.number_input("Until all take at most, MB", 0, max(1, round(total / 1e6) + 1), round(total / 2e6), key="space.most", width=200)
            gone = largest_until(runs, int(most * 1e6))
        st.caption("Pinned runs and those that are going on stay.")
        if gone:
            st.dataframe(run_table(gone, time.time()), hide_index=True, height=min(300, 36 * (len(gone) + 1)), alt="Runs that would be deleted")
        draw_deletion(engine, gone, f"Delete {len(gone)} runs, {numbers.size(sum(run.size for run in gone))}", "space")
