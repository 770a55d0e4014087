"""A heat map of blocks by linears that opens the microscope: by a click on a cell, or by a link below it for
users without a pointer.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.analysis.linear_names import linear_names
from engine.charts.chart import Chart, short_names
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.redraw import switch_page

MICROSCOPE = "pages/microscope.py"


def draw_block_map(chart: Chart, key: str, record: RunRecord) -> None:
    """Draw a `clickable` chart of `engine.charts.heatmaps`.

    Args:
        key: as in `draw_chart`. Use another key after a cell was chosen: Streamlit keeps a selection with its
            chart, and would report the click again.
        record: the finished run that the chart shows.
    """
    event = draw_chart(chart, key, select="points")
    chosen = _chosen(event)
    if chosen is not None:
        switch_page(MICROSCOPE, address(record, *chosen))
    if record.worst is not None:
        index, name = record.worst
        st.caption("A click on a cell looks inside it.")
        st.page_link(
            MICROSCOPE,
            label=f"Look inside the worst: block {index}, {short_names(linear_names(record))[name]}",
            icon=":material/biotech:",
            query_params=address(record, index, name),
        )


def address(record: RunRecord, block: int, linear: str) -> dict[str, str]:
    """Return the microscope's query parameters for a linear."""
    return {"run": str(record.key), "block": str(block), "linear": linear}


def _chosen(event: Any) -> tuple[int, str] | None:
    """Return the block and linear of the clicked cell."""
    points = event.selection.points if event is not None else []
    # (block, linear), absent from a chart that is not clickable
    given = points[0].get("customdata") if points else None
    return (int(given[0]), str(given[1])) if given else None
