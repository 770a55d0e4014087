"""A chart as a card: what it shows, the drawing, how to read it, and to take along the same numbers as a
table and the drawing as a picture.

A chart as a picture: two buttons, SVG and PNG, for a chart that stands elsewhere on the page; made by the
browser that shows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from engine.charts.chart import Chart

HERE = Path(__file__).parent
FORMATS = st.components.v2.component(
    "picture",
    html='<div class="formats"><button type="button" data-format="svg">SVG</button><button type="button" data-format="png">PNG</button>'
    '<span role="status"></span></div>',
    css=(HERE / "picture.css").read_text(encoding="utf-8"),
    js=(HERE / "picture.js").read_text(encoding="utf-8"),
)
CONFIG = {
    "displayModeBar": "hover",
    "modeBarButtons": [["toImage"]],
    "displaylogo": False,
    "scrollZoom": False,
}
"""What a chart needs to be saved: Plotly's own button, shown while the pointer is over the chart."""


def draw_formats(chart: str, name: str) -> None:
    """The buttons for the chart with this widget key; `name` is the file's, without its ending."""
    FORMATS(key=f"picture.{chart}", data={"chart": re.sub(r"[^\w-]", "-", chart), "name": name})


LARGE = 17
"""Pixels of the letters in a chart that is larger than its own height."""


def draw_chart(
    chart: Chart,
    key: str,
    *,
    least_height: int = 0,
    select: Literal["points", "box"] | None = None,
    on_select: Callable[[], None] | Literal["rerun"] = "rerun",
) -> Any:
    """Draw a chart.

    Args:
        key: gives it an identity, so that the next state of the same chart replaces it in place.
        least_height: pixels, where it is to be larger than its own height.
        select: what a person may select in it, if anything.
        on_select: what is called then, before the page is drawn again.

    Returns:
        What is selected, as Streamlit says it; None where nothing may be.
    """
    if chart.figure.layout.height < least_height:
        chart.figure.update_layout(height=least_height, font={"size": LARGE})
        chart.figure.update_xaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
        chart.figure.update_yaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{chart.title}**", width="content")
        _draw_table(chart, key)
    choice: dict[str, Any] = {} if select is None else {"selection_mode": select, "on_select": on_select}
    drawn = st.plotly_chart(chart.figure, key=f"chart.{key}", alt=chart.alt, config=CONFIG, **choice)
    st.caption(chart.caption)
    return drawn if select else None


def _draw_table(chart: Chart, key: str) -> None:
    """The table behind a button; it is only made while it is open, for a page that grows draws all its charts
    twice a second.
    """
    with st.popover(
        "Table", type="tertiary", icon=":material/table:", key=f"table.{key}", on_change="rerun"
    ) as table:
        if table.open:
            st.dataframe(chart.table, hide_index=True, alt=chart.alt)
            data = chart.table.to_csv(index=False)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.download_button(
                    "CSV",
                    data,
                    f"{key}.csv",
                    "text/csv",
                    key=f"csv.{key}",
                    icon=":material/download:",
                    on_click="ignore",
                )
                draw_formats(f"chart.{key}", key)


def load_ahead() -> None:
    """Have the browser load what it draws charts with, which takes it a second or two, while a page without
    any is read; nothing is seen of it.
    """
    with st.container(key="unseen.ahead"):
        st.plotly_chart({"data": [{"y": [0]}], "layout": {"height": 40}}, key="ahead")
