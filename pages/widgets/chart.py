"""A chart as a card: what it shows, the drawing, how to read it, and to take along the same numbers as a table and the drawing as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.charts.chart import Chart
from pages.widgets.picture import CONFIG, draw_formats

LARGE = 17
"""Pixels of the letters in a chart that is larger than its own height."""


def draw_chart(chart: Chart, key: str, *, least_height: int = 0, on_select: bool = False) -> Mapping[str, Any]:
    """Draw a chart.

    Args:
        key: gives it an identity, so that the next state of the same chart replaces it in place.
        least_height: pixels, where it is to be larger than its own height.
        on_select: run the page when a mark is clicked.

    Returns:
        What is selected: `points`, each with the `customdata` of its mark; empty without `on_select`.
    """
    if chart.figure.layout.height < least_height:
        chart.figure.update_layout(height=least_height, font={"size": LARGE})
        chart.figure.update_xaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
        chart.figure.update_yaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{chart.title}**", width="content")
        _draw_table(chart, key)
    how: dict[str, Any] = {"on_select": "rerun", "selection_mode": "points"} if on_select else {}
    state = st.plotly_chart(chart.figure, key=f"chart.{key}", alt=chart.alt, config=CONFIG, **how)
    st.caption(chart.caption)
    return dict(state["selection"]) if on_select else {}


def _draw_table(chart: Chart, key: str) -> None:
    """The table behind a button; it is only made while it is open, for a page that grows draws all its charts twice a second."""
    with st.popover("Table", type="tertiary", icon=":material/table:", key=f"table.{key}", on_change="rerun") as table:
        if table.open:
            st.dataframe(chart.table, hide_index=True, alt=chart.alt)
            data = chart.table.to_csv(index=False)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.download_button("CSV", data, f"{key}.csv", "text/csv", key=f"csv.{key}", icon=":material/download:", on_click="ignore")
                draw_formats(f"chart.{key}", key)
