"""A chart as a picture: two buttons, SVG and PNG, for a chart that stands elsewhere on the page; made by the browser that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
FORMATS = st.components.v2.component(
    "picture",
    html='<div class="formats"><button type="button" data-format="svg">SVG</button><button type="button" data-format="png">PNG</button>'
    '<span role="status"></span></div>',
    css=(HERE / "picture.css").read_text(encoding="utf-8"),
    js=(HERE / "picture.js").read_text(encoding="utf-8"),
)
CONFIG = {"displayModeBar": "hover", "modeBarButtons": [["toImage"]], "displaylogo": False, "scrollZoom": False}
"""What a chart needs to be saved: Plotly's own button, shown while the pointer is over the chart."""


def draw_formats(chart: str, name: str) -> None:
    """The buttons for the chart with this widget key; `name` is the file's, without its ending."""
    FORMATS(key=f"picture.{chart}", data={"chart": re.sub(r"[^\w-]", "-", chart), "name": name})
