"""All points of a protocol as a table that can be sorted, filtered and downloaded, with links to the runs."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.charts.compare.table import curve_table, filtered
from engine.charts.tables import to_csv
from pages.widgets.compare.data import Known
from pages.widgets.compare.links import draw_links

MOST = 50.0
"""The end of the slider of the ratio, which means no limit."""
COLUMNS: dict[str, Any] = {
    "family": st.column_config.TextColumn("Pruner", width="medium"),
    "pattern": "Pattern",
    "sparsity": st.column_config.NumberColumn("Sparsity", format="percent"),
    "achieved": st.column_config.NumberColumn(
        "Achieved", format="percent", help="Zeros / prunable weights; mean over the seeds"
    ),
    "perplexity": st.column_config.NumberColumn("Perplexity", format="%.3f", help="Mean over the seeds"),
    "deviation": st.column_config.NumberColumn(
        "±", format="%.3f", help="Sample standard deviation over the seeds"
    ),
    "seeds": "Seeds",
    "ratio": st.column_config.NumberColumn(
        "× dense", format="%.3f", help="Pruned perplexity / dense perplexity"
    ),
    "published": st.column_config.NumberColumn(
        "Published", format="%.2f", help="What a paper reports for this model, pruner and sparsity"
    ),
    "protocol": st.column_config.TextColumn(
        "Published protocol", help="What differs from these runs in how the published figure was measured"
    ),
    "source": st.column_config.LinkColumn("Source"),
    "own": st.column_config.CheckboxColumn("Own", help="Computed here, not bundled"),
    "run": "Run",
}


def draw_table(known: Known) -> None:
    """Draw the filters, the table, and the links of the selected row."""
    table = curve_table({name: known.all[name] for name in known.order})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        words = st.text_input(
            "Filter",
            key="rows",
            type="search",
            placeholder="wanda, 2:4, 70%, own …",
            bind="query-params",
            width=320,
        )
        most = st.slider(
            "Highest ratio to dense (50: no limit)",
            1.0,
            MOST,
            MOST,
            0.5,
            key="most",
            bind="query-params",
            width=320,
        )
    # at its end, the slider sets no limit
    shown = filtered(table, words or "", None if most >= MOST else most)
    st.caption(f"{len(shown)} of {len(table)} points. Click a column header to sort; check a row to open it.")
    state = st.dataframe(
        shown,
        key="compare.table",
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        column_config=COLUMNS,
        height=480,
        placeholder="",
        alt="Table of all points: pruner, pattern, sparsity, perplexity, ratio to dense",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "CSV",
            to_csv(shown),
            "comparison.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        rows = list(state["selection"]["rows"])
        if rows and rows[0] < len(shown):  # a filter may have shortened the table
            draw_links(str(shown.iloc[rows[0]]["run"]), "row")
