"""The leaderboard at equal budget: a drawing, and the whole of it as a table."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.leaderboard import budgets, leaderboard
from engine.charts.compare.leaderboard import leaderboard_chart, leaderboard_table
from engine.pruning.patterns import is_n_of_m
from pages.widgets.chart import draw_chart
from pages.widgets.compare.data import Known, draw_links

USUAL = "60 %"
COLUMNS: dict[str, Any] = {
    "place": "Place",
    "family": st.column_config.TextColumn("Way to prune", width="medium"),
    "perplexity": st.column_config.NumberColumn("Perplexity", format="%.3f"),
    "deviation": st.column_config.NumberColumn(
        "±", format="%.3f", help="Sample standard deviation over the seeds"
    ),
    "seeds": "Seeds",
    "ratio": st.column_config.NumberColumn("× dense", format="%.3f"),
    "behind": st.column_config.NumberColumn("Behind the best", format="percent"),
    "achieved": st.column_config.NumberColumn(
        "Achieved", format="percent", help="Zeros / prunable weights, counted"
    ),
    "seconds": st.column_config.NumberColumn(
        "Pruning, s", format="%.2f", help="Without loading and measuring, where the run was computed"
    ),
    "own": st.column_config.CheckboxColumn("Own", help="Computed here, not recorded"),
    "run": None,
}


def draw_board(known: Known) -> None:
    """A budget, and all ways to prune at it."""
    offered = {
        budget if is_n_of_m(budget) else numbers.percent(float(budget), 0): budget
        for budget in budgets(known.all)
    }
    if not offered:
        st.info(
            "A leaderboard needs two ways to prune at one sparsity. Start a sweep to get there.",
            icon=":material/leaderboard:",
        )
        return
    names = list(offered)
    first = USUAL if USUAL in offered else names[0]
    chosen = (
        st.segmented_control(
            "At equal budget", names, default=first, key="budget", bind="query-params", required=True
        )
        or first
    )
    places = leaderboard(known.all, offered[chosen])
    draw_chart(leaderboard_chart(places, chosen), "board")
    table = leaderboard_table(places)
    how: dict[str, Any] = {
        "hide_index": True,
        "column_config": COLUMNS,
        "placeholder": "",
        "alt": "The leaderboard",
    }
    state = st.dataframe(table, key="compare.board", on_select="rerun", selection_mode="single-row", **how)
    rows = list(state["selection"]["rows"])
    if rows and rows[0] < len(table):
        with st.container(horizontal=True):
            draw_links(str(table.iloc[rows[0]]["run"]), "place")
    else:
        st.caption("Choose a row to go on from its run. Times come from the machine that computed each run.")
