"""The list of one's own runs: find, order, choose, and act on what is chosen.

The runs that came with the project, folded away: there are many, and they are not one's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.run_table import ORDERS, SIGNS, matching, ordered, run_table
from engine.store.runs import RunSummary
from pages.widgets.run_picker import words
from pages.widgets.runs.actions import draw_actions
from pages.widgets.runs.deleting import draw_deletion

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def draw_recorded(runs: Sequence[RunSummary]) -> None:
    """A list to find one in, and its links."""
    with st.expander(
        f"{len(runs)} recorded runs of the bundled model, which came with Prunescope",
        icon=":material/inventory_2:",
    ):
        wanted = st.text_input(
            "Find among them", key="runs.recorded", placeholder="wanda 60, 2:4, NeuroAL …", width=320
        )
        shown = matching(runs, wanted or "", [])
        table = run_table(shown, time.time()).drop(columns=["", "state", "run", "age", "note"])
        st.dataframe(
            table,
            hide_index=True,
            height=300,
            alt="The recorded runs",
            column_config={"MB": st.column_config.NumberColumn(format="%.2f")},
        )
        by_key = {run.key: run for run in shown}
        key = st.selectbox(
            "Open one",
            list(by_key),
            None,
            format_func=lambda key: words(by_key[key]),
            key="runs.open",
            placeholder="Choose a run",
        )
        if key:
            st.page_link(
                "pages/explore.py", label="Explore", icon=":material/content_cut:", query_params={"run": key}
            )


TALL = 420  # pixels that the list takes at most
ROW = 36


def draw_list(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """The list, and what can be done with the chosen ones."""
    if not runs:
        words = "No run of your own is here yet. Prune something on Explore, start a sweep on Compare, or take in a colleague's run below."
        st.info(words, icon=":material/inventory_2:")
        return
    shown = _choose(runs)
    st.caption(
        f"{len(shown)} of {len(runs)} runs. Choose rows by the boxes at their left, or one in the list below."
    )
    height = min(TALL, ROW * (len(shown) + 1) + 4)
    columns = {
        "MB": st.column_config.NumberColumn(format="%.2f"),
        "note": st.column_config.TextColumn(width="medium"),
    }
    chosen = st.dataframe(
        run_table(shown, time.time()),
        hide_index=True,
        height=height,
        column_config=columns,
        key="runs.table",
        on_select="rerun",
        selection_mode="multi-row",
        alt="The runs",
    )
    rows = [row for row in chosen["selection"]["rows"] if row < len(shown)]
    several = [shown[row] for row in rows]
    if len(several) > 1:
        _draw_several(engine, several)
        return
    one = _one(shown, several)
    if one is not None:
        draw_actions(engine, one)


def _choose(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs that are matching, in the order that is chosen; both in the address."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Find",
            key="find",
            type="search",
            placeholder="A name, a pruner, a model, a key",
            bind="query-params",
            live=True,
            width=320,
        )
        there = [state for state in SIGNS if any(run.state == state for run in runs)]
        states = (
            st.pills(
                "State",
                there,
                selection_mode="multi",
                format_func=lambda state: SIGNS[state],
                key="runs.states",
            )
            if len(there) > 1
            else []
        )
        order = (
            st.segmented_control(
                "Order", list(ORDERS), default="Newest", key="order", bind="query-params", required=True
            )
            or "Newest"
        )
    return ordered(matching(runs, words or "", states or []), order)


def _one(shown: Sequence[RunSummary], several: Sequence[RunSummary]) -> RunSummary | None:
    """The run to act on: the chosen row, or the one chosen from a list by those who do not click into tables."""
    by_key = {run.key: run for run in shown}
    if several and several[0].key != st.session_state.get("runs.row"):
        st.session_state["runs.row"] = st.session_state["runs.one"] = several[0].key
    if st.session_state.get("runs.one") not in by_key:
        st.session_state.pop("runs.one", None)
    key = st.selectbox(
        "One run",
        list(by_key),
        None,
        format_func=lambda key: by_key[key].title,
        key="runs.one",
        placeholder="Choose a run",
        width=420,
    )
    return by_key.get(key) if key else None


def _draw_several(engine: BackgroundEngine, several: Sequence[RunSummary]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(several)} runs chosen**", width="content")
        if len(several) == 2:
            two = {"section": "Two runs", "one": several[0].key, "other": several[1].key}
            st.page_link(
                "pages/compare.py", label="Compare them", icon=":material/compare_arrows:", query_params=two
            )
        draw_deletion(engine, several, "Delete them", "several")
