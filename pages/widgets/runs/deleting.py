"""Deleting runs: asked once, and undone for as long as the app runs.

Freeing space: what would go is shown before it does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.run_table import run_table
from engine.errors import PrunescopeError
from engine.hardware.memory import disk_free
from engine.store.runs import RunSummary, largest_until, older_than

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


DELETED, ERROR = "runs.deleted", "runs.error"


def draw_deletion(engine: BackgroundEngine, runs: Sequence[RunSummary], label: str, key: str) -> None:
    """A button that asks once."""
    count = f"{len(runs)} runs" if len(runs) != 1 else f"“{runs[0].title}”"
    with st.popover(label, icon=":material/delete:", disabled=not runs):
        st.markdown(
            f"Delete {count}, {numbers.size(sum(run.size for run in runs))}? You can take it back until the app is started anew."
        )
        st.button(
            "Delete",
            key=f"delete.{key}",
            type="primary",
            on_click=_delete,
            args=(engine, [run.key for run in runs]),
        )


def draw_undo(engine: BackgroundEngine) -> None:
    """What was deleted last, and the way back; and what could not be done."""
    if sentence := st.session_state.pop(ERROR, ""):
        st.error(sentence, icon=":material/error:")
    keys = st.session_state.get(DELETED) or []
    if keys:
        with st.container(
            border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
        ):
            st.markdown(
                f"{len(keys)} run{'s are' if len(keys) > 1 else ' is'} in the trash.", width="stretch"
            )
            st.button("Undo", key="undo", icon=":material/undo:", on_click=_undo, args=(engine,))


def _delete(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            engine.store.delete(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
        else:
            st.session_state[DELETED] = [*(st.session_state.get(DELETED) or []), key]


def _undo(engine: BackgroundEngine) -> None:
    for key in st.session_state.pop(DELETED, []):
        try:
            engine.store.restore(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)


def draw_space(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """How much there is, and which runs would go by age or by size."""
    total = sum(run.size for run in runs)
    free = disk_free(engine.store.home)
    with st.expander(
        f"Free space: {len(runs)} runs take {numbers.size(total)}, {numbers.size(free)} are free on the disk",
        icon=":material/cleaning_services:",
    ):
        by = st.segmented_control(
            "Delete", ["The oldest", "The largest"], default="The oldest", key="space.by", required=True
        )
        if by == "The oldest":
            days = st.number_input("Older than, days", 0, 3650, 30, key="space.days", width=200)
            gone = older_than(runs, float(days), time.time())
        else:
            most = st.number_input(
                "Until all take at most, MB",
                0,
                max(1, round(total / 1e6) + 1),
                round(total / 2e6),
                key="space.most",
                width=200,
            )
            gone = largest_until(runs, int(most * 1e6))
        st.caption("Pinned runs and those that are going on stay.")
        if gone:
            st.dataframe(
                run_table(gone, time.time()),
                hide_index=True,
                height=min(300, 36 * (len(gone) + 1)),
                alt="Runs that would be deleted",
            )
        draw_deletion(
            engine, gone, f"Delete {len(gone)} runs, {numbers.size(sum(run.size for run in gone))}", "space"
        )
