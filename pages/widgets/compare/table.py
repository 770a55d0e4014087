"""Every point of a protocol as a table: to sort by its heads, to filter, to take along, and to go on from."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from engine.charts.compare.table import curve_table, filtered
from pages.widgets.compare.data import Known, draw_links

MOST = 50.0
"""The end of the ratio's slider, which means all."""
NAMES: dict[str, Any] = {
    "family": st.column_config.TextColumn("Way to prune", width="medium"),
    "pattern": "Pattern",
    "sparsity": st.column_config.NumberColumn("Sparsity", format="percent"),
    "achieved": st.column_config.NumberColumn(
        "Achieved", format="percent", help="Zeros / prunable weights, counted; mean over the seeds"
    ),
    "perplexity": st.column_config.NumberColumn("Perplexity", format="%.3f", help="Mean over the seeds"),
    "deviation": st.column_config.NumberColumn(
        "±", format="%.3f", help="Sample standard deviation over the seeds"
    ),
    "seeds": "Seeds",
    "ratio": st.column_config.NumberColumn(
        "× dense", format="%.3f", help="Pruned perplexity / dense perplexity"
    ),
    "own": st.column_config.CheckboxColumn("Own", help="Computed here, not recorded"),
    "run": "Run",
}


def draw_table(known: Known) -> None:
    """The table, its filters, and the links of a chosen row."""
    table = curve_table({name: known.all[name] for name in known.order})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        words = st.text_input(
            "Only rows with",
            key="rows",
            type="search",
            placeholder="wanda, 2:4, 70%, own …",
            bind="query-params",
            width=320,
        )
        most = st.slider(
            "Perplexity at most × dense (50: all)",
            1.0,
            MOST,
            MOST,
            0.5,
            key="most",
            bind="query-params",
            width=320,
        )
    shown = filtered(table, words or "", None if most >= MOST else most)
    st.caption(
        f"{len(shown)} of {len(table)} points. Click a column's head to sort, the box before a row to go on from it."
    )
    how: dict[str, Any] = {
        "hide_index": True,
        "column_config": NAMES,
        "height": 480,
        "placeholder": "",
        "alt": ALT,
    }
    state = st.dataframe(shown, key="compare.table", on_select="rerun", selection_mode="single-row", **how)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "CSV",
            shown.to_csv(index=False),
            "comparison.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        _draw_chosen(shown, list(state["selection"]["rows"]))


def _draw_chosen(shown: pd.DataFrame, rows: list[int]) -> None:
    if rows and rows[0] < len(shown):
        draw_links(str(shown.iloc[rows[0]]["run"]), "row")


ALT = "Table of all points: way to prune, pattern, sparsity, perplexity, ratio to dense"
