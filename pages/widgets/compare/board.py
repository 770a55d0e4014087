"""The leaderboard at equal sparsity, as a chart and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.leaderboard import Entry, budgets, leaderboard
from engine.analysis.published import published
from engine.charts.compare.leaderboard import leaderboard_chart, leaderboard_table
from pages.widgets.chart import draw_chart
from pages.widgets.compare.data import Known
from pages.widgets.compare.links import draw_links
from pages.widgets.literal import literal

DEFAULT = "60 %"
COLUMNS: dict[str, Any] = {
    "place": "Rank",
    "family": st.column_config.TextColumn("Pruner", width="medium"),
    "perplexity": st.column_config.NumberColumn("Perplexity", format="%.3f"),
    "deviation": st.column_config.NumberColumn(
        "±", format="%.3f", help="Sample standard deviation over the seeds"
    ),
    "seeds": "Seeds",
    "noise": st.column_config.NumberColumn(
        "Noise", format="%.3f", help="Largest difference between repeats with the windows in another order"
    ),
    "alike": st.column_config.TextColumn(
        "Cannot be distinguished from", help="Pruners that are closer than the noise of one of the two"
    ),
    "ratio": st.column_config.NumberColumn("× dense", format="%.3f"),
    "behind": st.column_config.NumberColumn("Above the best", format="percent"),
    "achieved": st.column_config.NumberColumn("Achieved", format="percent", help="Zeros / prunable weights"),
    "seconds": st.column_config.NumberColumn(
        "Pruning time, s",
        format="%.2f",
        help="Without loading and evaluation, on the machine that computed the run",
    ),
    "own": st.column_config.CheckboxColumn("Own", help="Computed here, not bundled"),
    "run": None,  # hidden, but read for the links of the selected row
}


def draw_board(known: Known) -> None:
    """Draw a choice of the sparsity, and all pruners at it."""
    offered = {budget_words(budget): budget for budget in budgets(known.all)}
    if not offered:
        st.info(
            "A leaderboard needs two pruners at the same sparsity. Start a sweep to get them.",
            icon=":material/leaderboard:",
        )
        return
    names = list(offered)
    first = DEFAULT if DEFAULT in offered else names[0]
    chosen = (
        st.segmented_control(
            "Sparsity", names, default=first, key="budget", bind="query-params", required=True
        )
        or first
    )
    places = leaderboard(known.all, offered[chosen])
    draw_chart(leaderboard_chart(places, chosen), "board")
    table = leaderboard_table(places)
    state = st.dataframe(
        table,
        key="compare.board",
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        column_config=COLUMNS,
        placeholder="",
        alt="Leaderboard",
    )
    rows = list(state["selection"]["rows"])
    # The selection is a row number and outlives a change of the sparsity, which may shorten the table.
    if rows and rows[0] < len(table):
        with st.container(horizontal=True):
            draw_links(str(table.iloc[rows[0]]["run"]), "place")
    else:
        st.caption("Select a row to open its run. Times are from the machine that computed each run.")
    _draw_published(places)


def _draw_published(places: Sequence[Entry]) -> None:
    """Say what papers report for the pruners of the leaderboard, if they have this model."""
    figures = [
        (place.point.family, figure) for place in places for figure in published(place.point.runs[0].record)
    ]
    if figures:
        st.markdown("**In the literature**")
    for family, figure in figures:
        st.caption(f"{literal(f'{family}. {figure.sentence}')} [Source]({figure.source.link})")


def budget_words(budget: str) -> str:
    """Return a sparsity in percent, and the name of a pattern as it is."""
    try:
        return numbers.percent(float(budget), 0)
    except ValueError:
        return budget
