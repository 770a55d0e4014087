"""Several lines over one axis, each told apart by its colour, its dash and its symbol, with a place on the axis marked where one is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas

STYLES = (
    (palette.VERMILLION, "solid", "circle"),
    (palette.BLUE, "dash", "square"),
    (palette.GREEN, "dot", "diamond"),
    (palette.GREY, "dashdot", "cross"),
)
HEIGHT = 340


def line_chart(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    axes: tuple[str, str],
    title: str,
    alt: str,
    caption: str,
    at: float | None = None,
    log: bool = False,
) -> Chart:
    """A line for each name, in the order of `STYLES`.

    Args:
        lines: shares, drawn in percent.
        axes: the titles of the axes.
        at: the place that is marked.
        log: whether the x axis is logarithmic.
    """
    figure = go.Figure([_line(x, name, values, style) for (name, values), style in zip(lines.items(), STYLES, strict=False)])
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(margin={"t": 8 + LEGEND_LINE}, hovermode="x unified")
    figure.update_xaxes(title={"text": axes[0]})
    if log:
        figure.update_xaxes(type="log", tickvals=list(x), ticktext=[f"{value:g}" for value in x])
    figure.update_yaxes(title={"text": axes[1]}, rangemode="tozero")
    if at is not None:
        figure.add_vline(x=at, line={"color": palette.GREY, "width": 2, "dash": "dot"})
    data: dict[str, Any] = {axes[0]: x, **lines}
    return Chart(title=title, figure=figure, table=pd.DataFrame(data), alt=alt, caption=caption)


def _line(x: Sequence[float], name: str, values: Sequence[float], style: tuple[str, str, str]) -> go.Scatter:
    colour, dash, symbol = style
    return go.Scatter(
        x=x,
        y=[100 * value for value in values],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"symbol": symbol, "size": 8},
        hovertemplate="%{y:.1f} %",
    )
