"""Two quantities over one axis, a panel each: what happens to one while the other gets better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas, panels

HEIGHT = 390
LOOKS = ((palette.BLUE, "circle"), (palette.VERMILLION, "diamond"))


@dataclass(frozen=True)
class Panel:
    """What a panel shows: its title, the values, and what they are multiplied with to be drawn."""

    title: str
    values: Sequence[float]
    scale: float = 1.0


def pair_chart(x: Sequence[float], upper: Panel, lower: Panel, *, axis: str, at: float, title: str, alt: str, caption: str) -> Chart:
    """Two panels over one x axis, whose title is `axis`, with the place `at` marked in both."""
    figure = panels([0.5, 0.5], [upper.title, lower.title], 0.14)
    canvas(figure, HEIGHT)
    for row, (panel, (colour, symbol)) in enumerate(zip((upper, lower), LOOKS, strict=True), start=1):
        figure.add_trace(_line(x, panel, colour, symbol), row=row, col=1)
    figure.add_vline(x=at, line={"color": palette.GREY, "width": 2, "dash": "dot"})
    figure.update_layout(showlegend=False, margin={"t": 30})
    figure.update_xaxes(tickvals=list(x))
    figure.update_xaxes(title={"text": axis}, row=2, col=1)
    figure.update_yaxes(zeroline=True, zerolinecolor=palette.GREY, rangemode="tozero", nticks=5)
    table = pd.DataFrame({axis: list(x), upper.title: upper.values, lower.title: lower.values})
    return Chart(title=title, figure=figure, table=table, alt=alt, caption=caption)


def _line(x: Sequence[float], panel: Panel, colour: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=list(x),
        y=[panel.scale * value for value in panel.values],
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": symbol, "size": 9},
        hovertemplate=f"%{{x}}: {panel.title} %{{y:.4~g}}<extra></extra>",
    )
