"""The leaderboard at equal budget."""

from __future__ import annotations

import streamlit as st

from engine.charts import numbers
from engine.charts.compare.board import board_bars
from engine.comparison.leaderboard import budgets, leaderboard
from pages.widgets.chart import draw_chart
from pages.widgets.compare.families import Known

USUAL = "60 %"


def draw_board(known: Known) -> None:
    """A budget, and all ways to prune at it."""
    offered = {budget if ":" in budget else numbers.percent(float(budget), 0): budget for budget in budgets(known.all)}
    if not offered:
        st.info("A leaderboard needs two ways to prune at one sparsity. Start a sweep to get there.", icon=":material/leaderboard:")
        return
    names = list(offered)
    first = USUAL if USUAL in offered else names[0]
    chosen = st.segmented_control("At the sparsity", names, default=first, key="budget", bind="query-params", required=True) or first
    draw_chart(board_bars(leaderboard(known.all, offered[chosen]), chosen), "board")
