"""The lists of runs: the user's, with filters, an order and actions; and the bundled ones in an expander."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.run_table import ORDERS, SIGNS, matching, ordered, run_table
from engine.numbers import plural
from engine.store.summary import RunSummary
from pages.widgets.handouts.button import draw_export
from pages.widgets.page_setup import explore
from pages.widgets.run_picker import OFFERED, labels
from pages.widgets.runs.actions import draw_actions
from pages.widgets.runs.deleting import draw_deletion

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

TALL, BUNDLED_TALL = 420, 300
"""Greatest heights of the lists, pixels."""
ROW = 36
"""Height of a row, pixels."""


def draw_list(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the user's runs, and the actions for the selected ones."""
    if not runs:
        st.info(
            "No runs of your own yet. Prune a model on Explore, start a sweep on Compare, or import a run."
            if engine.public is None
            else "No runs of visitors yet. Prune a model on Explore, or start a sweep on Compare.",
            icon=":material/inventory_2:",
        )
        return
    found = _choose(runs)
    shown = found[:OFFERED]  # more would slow down the browser
    rest = f" The first {OFFERED:,} are listed: search for the others." if len(found) > OFFERED else ""
    st.caption(
        f"{len(found)} of {plural(len(runs), 'run')}.{rest} Check rows to select them, or choose one below "
        "the list."
    )
    selection = st.dataframe(
        run_table(shown, time.time()),
        hide_index=True,
        height=min(TALL, ROW * (len(shown) + 1) + 4),  # the header is a row, and borders take 4 pixels
        column_config={
            "MB": st.column_config.NumberColumn(format="%.2f"),
            "note": st.column_config.TextColumn(width="medium"),
        },
        key="runs.table",
        on_select="rerun",
        selection_mode="multi-row",
        alt="Your runs",
    )
    # A filter may have shortened the list since the rows were selected.
    selected = [shown[row] for row in selection["selection"]["rows"] if row < len(shown)]
    if len(selected) > 1:
        _draw_selected(engine, selected)
        return
    run = _choose_one(shown, selected)
    if run is not None:
        draw_actions(engine, run)


def _choose(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Draw filters and order, which are in the address, and return the runs that they leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Find",
            key="find",
            type="search",
            placeholder="Name, pruner, model or key",
            bind="query-params",
            live=True,
            width=320,
        )
        present = [state for state in SIGNS if any(run.state == state for run in runs)]
        states = []
        if len(present) > 1:
            states = st.pills(
                "State", present, selection_mode="multi", format_func=SIGNS.__getitem__, key="runs.states"
            )
        order = st.segmented_control(
            "Order", list(ORDERS), default="Newest", key="order", bind="query-params", required=True
        )
    return ordered(matching(runs, text or "", states or []), order or "Newest")


def _choose_one(shown: Sequence[RunSummary], selected: Sequence[RunSummary]) -> RunSummary | None:
    """Return the selected row, or the run chosen from a list: rows cannot be selected by keyboard."""
    by_key = {run.key: run for run in shown}
    # The table keeps its selection, so only a row that was not selected before overrides the list below it.
    if selected and selected[0].key != st.session_state.get("runs.row"):
        st.session_state["runs.row"] = st.session_state["runs.one"] = selected[0].key
    if st.session_state.get("runs.one") not in by_key:
        st.session_state.pop("runs.one", None)  # Streamlit rejects a value that is not an option
    key = st.selectbox(
        "Run",
        list(by_key),
        None,
        format_func=labels(shown, lambda run: run.title).__getitem__,
        key="runs.one",
        placeholder="Choose a run",
        width=420,
    )
    return by_key.get(key) if key else None


def _draw_selected(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw what can be done with several runs."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(runs)} runs selected**", width="content")
        if len(runs) == 2:
            st.page_link(
                "pages/compare.py",
                label="Compare them",
                icon=":material/compare_arrows:",
                query_params={"section": "Two runs", "one": runs[0].key, "other": runs[1].key},
            )
        draw_export(engine, runs, "several")
        if engine.public is None:
            draw_deletion(engine, runs, "Delete them", "several")


def draw_bundled(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the bundled runs with a filter, and a link to one of them."""
    label = f"{len(runs)} bundled runs (precomputed)"
    with st.expander(label, icon=":material/inventory_2:"):
        text = st.text_input("Filter", key="runs.recorded", placeholder="wanda 60, 2:4, NeuroAL …", width=320)
        shown = matching(runs, text or "", [])
        st.dataframe(
            run_table(shown, time.time()).drop(columns=["", "state", "run", "age", "note"]),
            hide_index=True,
            height=BUNDLED_TALL,
            alt="The bundled runs",
            column_config={"MB": st.column_config.NumberColumn(format="%.2f")},
        )
        draw_export(engine, shown, "bundled")
        by_key = {run.key: run for run in shown}
        key = st.selectbox(
            "Open a run",
            list(by_key),
            None,
            format_func=labels(shown).__getitem__,
            key="runs.open",
            placeholder="Choose a run",
        )
        if key:
            st.page_link(explore(), label="Explore", icon=":material/content_cut:", query_params={"run": key})
