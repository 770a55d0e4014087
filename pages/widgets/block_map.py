"""A heat map of blocks by linears that leads into the microscope: by a click on a cell, or by a link beneath
it for those who use no pointer.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.charts.chart import Chart, linear_names, short_names
from engine.record import RunRecord
from pages.widgets.chart import draw_chart

MICROSCOPE = "pages/microscope.py"


def draw_block_map(chart: Chart, key: str, record: RunRecord) -> None:
    """Draw a chart of `engine.charts.heatmaps` that was made to be `clickable`.

    Args:
        key: as in `draw_chart`; another one where a cell is chosen already, for a choice stays with its
            chart.
        record: the finished run that it shows.
    """
    event = draw_chart(chart, key, select="points")
    chosen = _chosen(event)
    if chosen is not None:
        st.switch_page(MICROSCOPE, query_params=address(record, *chosen))
    if record.worst is not None:
        index, name = record.worst
        label = f"Look inside: click a cell, or go to the worst, block {index}, {short_names(linear_names(record))[name]}"
        st.page_link(
            MICROSCOPE, label=label, icon=":material/biotech:", query_params=address(record, index, name)
        )


def address(record: RunRecord, block: int, linear: str) -> dict[str, str]:
    """What the microscope's address says of a linear."""
    return {"run": str(record.key), "block": str(block), "linear": linear}


def _chosen(event: Any) -> tuple[int, str] | None:
    """Block and linear of the cell that was clicked."""
    points = event.selection.points if event is not None else []
    given = points[0].get("customdata") if points else None
    return (int(given[0]), str(given[1])) if given else None
