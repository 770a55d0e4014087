"""A chart as a card: title, figure, caption, what it shows in words, and downloads of its numbers as a table
and of the figure as SVG or PNG, which the browser renders.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from engine.analysis.explanations.explanation import Explanation
from engine.charts.chart import Chart
from engine.charts.tables import to_csv
from pages.widgets.literal import literal
from pages.widgets.recorder import recorder

HERE = Path(__file__).parent
FORMATS = st.components.v2.component(
    "picture",
    html='<div class="formats"><button type="button" data-format="svg">SVG</button>'
    '<button type="button" data-format="png">PNG</button><span role="status"></span></div>',
    css=(HERE / "picture.css").read_text(encoding="utf-8"),
    js=(HERE / "picture.js").read_text(encoding="utf-8"),
)
CONFIG = {
    "displayModeBar": "hover",
    "modeBarButtons": [["toImage"]],
    "displaylogo": False,
    "scrollZoom": False,
}
"""Plotly's own download button, shown while the pointer is over the chart."""


def draw_formats(chart: str, name: str) -> None:
    """Draw the SVG and PNG buttons for the chart with this widget key; `name` is the file's, without
    extension.
    """
    # `picture.js` finds the chart by its class.
    FORMATS(key=f"picture.{chart}", data={"chart": _css_name(chart), "name": name})


def _css_name(key: str) -> str:
    """Return a widget's key as it stands in the class `st-key-KEY` of its element."""
    return re.sub(r"[^\w-]", "-", key)


SMALL_NUMBERS = """<style>
.st-key-{name} {{ container-type: inline-size; }}
@container (max-width: {width}px) {{ .st-key-{name} .heatmap-label {{ display: none; }} }}
</style>"""
"""Hides the numbers in a heat map's cells, which Plotly would shrink to fit, while the chart is narrow."""
LARGE = 17
"""Font size in pixels in an enlarged chart, for a projector."""

EXPLANATION = 420
"""Width of an explanation in pixels: no wider than a chart, and about 60 letters a line."""


def draw_chart(
    chart: Chart,
    key: str,
    *,
    least_height: int = 0,
    explained: bool = True,
    select: Literal["points", "box"] | None = None,
    on_select: Callable[[], None] | Literal["rerun"] = "rerun",
) -> Any:
    """Draw a chart.

    Args:
        key: identifies the chart, so that its next state replaces it in place.
        least_height: enlarges the chart to this height in pixels.
        explained: whether to offer its explanation, if it has one; not in a lesson, where the text around it
            explains it, perhaps only after a question.
        select: what the user can select in it, if anything.
        on_select: called after a selection, before the page is redrawn.

    Returns:
        Streamlit's selection event; None if nothing can be selected.
    """
    if (sheet := recorder()) is not None:
        sheet.add(chart)
        return None if select is None else {"selection": {}}
    if chart.figure.layout.height < least_height:
        chart.figure.update_layout(height=least_height, font={"size": LARGE})
        chart.figure.update_xaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
        chart.figure.update_yaxes(tickfont={"size": LARGE}, title={"font": {"size": LARGE}})
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{literal(chart.title)}**", width="content")
        _draw_table(chart, key)
    if chart.least_width:
        st.html(SMALL_NUMBERS.format(name=_css_name(f"chart.{key}"), width=chart.least_width))
    choice: dict[str, Any] = {} if select is None else {"selection_mode": select, "on_select": on_select}
    drawn = st.plotly_chart(chart.figure, key=f"chart.{key}", alt=chart.alt, config=CONFIG, **choice)
    st.caption(literal(chart.caption))
    if explained and chart.explain is not None:
        _draw_explanation(chart.explain, key)
    return drawn if select else None


def _draw_explanation(explain: Callable[[], Explanation], key: str) -> None:
    """Draw what the chart shows in a popover. Like the table, it is only made while open."""
    with st.popover(
        "What am I looking at?",
        type="tertiary",
        icon=":material/lightbulb:",
        key=f"explain.{key}",
        on_change="rerun",
    ) as popover:
        if popover.open:
            found = explain()
            with st.container(width=EXPLANATION):
                st.markdown(literal(found.text))
                if found.lesson is not None:
                    st.page_link(
                        "pages/learn.py",
                        label=f"Lesson: {found.lesson.title}",
                        icon=":material/school:",
                        query_params={"lesson": found.lesson.lesson, "step": found.lesson.step},
                    )


def _draw_table(chart: Chart, key: str) -> None:
    """Draw the chart's table in a popover. It is only made while open: during a run, a page redraws all its
    charts twice a second.
    """
    # Without `on_change`, Streamlit does not report whether a popover is open.
    with st.popover(
        "Table", type="tertiary", icon=":material/table:", key=f"table.{key}", on_change="rerun"
    ) as table:
        if table.open:
            st.dataframe(chart.table, hide_index=True, alt=chart.alt)
            data = to_csv(chart.table)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.download_button(
                    "CSV",
                    data,
                    f"{key}.csv",
                    "text/csv",
                    key=f"csv.{key}",
                    icon=":material/download:",
                    on_click="ignore",  # a download would otherwise run the page again
                )
                draw_formats(f"chart.{key}", key)


def load_ahead() -> None:
    """Have the browser load Plotly, which takes a second or two, while the user reads a page without charts;
    the chart is invisible.
    """
    # `STYLES` in `redraw.py` hides containers by this prefix of the key.
    with st.container(key="unseen.ahead"):
        st.plotly_chart({"data": [{"y": [0]}], "layout": {"height": 40}}, key="ahead")
