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
    scale: float = 100,
    hover: str = "%{y:.1f} %",
    log_values: bool = False,
) -> Chart:
    """A line for each name, in the order of `STYLES`.

    Args:
        lines: the values; shares, where nothing else is said.
        axes: the titles of the axes.
        at: the place that is marked.
        log: whether the x axis is logarithmic.
        scale: what values are multiplied with to be drawn.
        hover: a drawn value under the pointer.
        log_values: whether the y axis is logarithmic.
    """
    figure = go.Figure(
        [_line(x, name, [scale * value for value in values], style, hover) for (name, values), style in zip(lines.items(), STYLES, strict=False)]
    )
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(margin={"t": 8 + LEGEND_LINE}, hovermode="x unified")
    figure.update_xaxes(title={"text": axes[0]})
    if log:
        figure.update_xaxes(type="log", tickvals=list(x), ticktext=[f"{value:g}" for value in x])
    figure.update_yaxes(title={"text": axes[1]}, **({"type": "log"} if log_values else {"rangemode": "tozero"}))
    if at is not None:
        figure.add_vline(x=at, line={"color": palette.GREY, "width": 2, "dash": "dot"})
    data: dict[str, Any] = {axes[0]: x, **lines}
    return Chart(title=title, figure=figure, table=pd.DataFrame(data), alt=alt, caption=caption)


def _line(x: Sequence[float], name: str, values: Sequence[float], style: tuple[str, str, str], hover: str) -> go.Scatter:
    colour, dash, symbol = style
    return go.Scatter(
        x=x,
        y=values,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"symbol": symbol, "size": 8},
        hovertemplate=hover,
    )
