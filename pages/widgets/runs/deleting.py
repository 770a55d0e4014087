"""Deleting runs: one or several after a confirmation, or the oldest or largest after a preview. Deleted runs
can be restored until the app restarts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.run_table import run_table
from engine.errors import PrunescopeError
from engine.store.runs import largest_until, older_than
from engine.store.summary import RunSummary
from pages.widgets.literal import literal
from pages.widgets.public_mode import draw_refusal
from pages.widgets.run_picker import OFFERED

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

DELETED, ERROR = "runs.deleted", "runs.error"


def draw_deletion(engine: BackgroundEngine, runs: Sequence[RunSummary], label: str, key: str) -> None:
    """Draw a button that asks for confirmation and deletes the runs."""
    what = f"{len(runs)} runs" if len(runs) != 1 else f"“{literal(runs[0].title)}”"
    with st.popover(label, icon=":material/delete:", disabled=not runs):
        st.markdown(f"Delete {what} ({_size(runs)})? You can undo this until the app restarts.")
        st.button(
            "Delete",
            key=f"delete.{key}",
            type="primary",
            on_click=_delete,
            args=(engine, [run.key for run in runs]),
        )


def draw_undo(engine: BackgroundEngine) -> None:
    """Draw a button that restores the runs deleted in this tab, and the last error."""
    if message := st.session_state.pop(ERROR, ""):  # set by callbacks, shown once
        st.error(literal(message), icon=":material/error:")
    keys = st.session_state.get(DELETED) or []
    if keys:
        with st.container(
            border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
        ):
            runs = "1 run is" if len(keys) == 1 else f"{len(keys)} runs are"
            st.markdown(f"{runs} in the trash.", width="stretch")
            st.button("Undo", key="undo", icon=":material/undo:", on_click=_undo, args=(engine,))


def draw_cleanup(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the disk space that the runs use, and a choice of the oldest or largest ones to delete."""
    if draw_refusal(engine, engine.delete):
        return
    total, free = sum(run.size for run in runs), numbers.size(engine.free_space())
    used = f"{numbers.size(total)} in {numbers.plural(len(runs), 'run')}"
    with st.expander(
        f"Free up space: {used}, the disk has {free} free",
        icon=":material/cleaning_services:",
    ):
        by = st.segmented_control(
            "Delete", ["The oldest", "The largest"], default="The oldest", key="space.by", required=True
        )
        if by == "The oldest":
            days = st.number_input("Older than, days", 0, 3650, 30, key="space.days", width=200)
            selected = older_than(runs, float(days), time.time())
        else:
            # 1 MB = 1e6 bytes; the suggestion is half of what is used now.
            most = st.number_input(
                "Until all use at most, MB",
                0,
                max(1, round(total / 1e6) + 1),
                round(total / 2e6),
                key="space.most",
                width=200,
            )
            selected = largest_until(runs, int(most * 1e6))
        st.caption("Pinned and active runs are kept.")
        if selected:
            st.dataframe(
                run_table(selected[:OFFERED], time.time()),
                hide_index=True,
                height=min(300, 36 * (len(selected) + 1)),  # pixels: 36 per row, and one for the header
                alt="Runs that would be deleted",
            )
        draw_deletion(engine, selected, f"Delete {len(selected)} runs, {_size(selected)}", "space")


def _size(runs: Sequence[RunSummary]) -> str:
    return numbers.size(sum(run.size for run in runs))


def _delete(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            engine.delete(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
        else:
            # one by one: an error leaves the rest
            st.session_state[DELETED] = [*(st.session_state.get(DELETED) or []), key]


def _undo(engine: BackgroundEngine) -> None:
    for key in st.session_state.pop(DELETED, []):
        try:
            engine.restore(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
