"""The plain plots of the lessons: lines over one axis, named amounts as horizontal bars, and two quantities
over one axis.

Lines, bars and panels differ in dash, symbol or pattern as well as in colour, so that nothing depends
on colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas, largest, panels
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.shared import shared
from engine.numbers import percent

Style = tuple[str, str, str]
"""Colour, dash and symbol of a line."""
STYLES: tuple[Style, ...] = (
    (palette.VERMILLION, "solid", "circle"),
    (palette.BLUE, "dash", "square"),
    (palette.GREEN, "dot", "diamond"),
    (palette.GREY, "dashdot", "cross"),
)
PANEL_STYLES: tuple[Style, ...] = (
    (palette.BLUE, "solid", "circle"),
    (palette.VERMILLION, "solid", "diamond"),
)
STRIPES = {"shape": "/", "fillmode": "replace", "solidity": 0.35}
"""The pattern of hatched bars."""
MARK = {"color": palette.GREY, "width": 2, "dash": "dot"}
"""The vertical line at a chosen place of the x axis."""

LINES_HEIGHT, PANELS_HEIGHT = 340, 390
"""Pixels."""
BAR, EDGE = 36, 56
"""Pixels of a bar, and of the axis below the bars."""


@shared
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
    """Plot a line per name, in the order of `STYLES`.

    Args:
        x: the places on the x axis.
        lines: the values by name; shares by default.
        axes: the titles of the axes.
        title, alt, caption: those of the chart.
        at: the place to mark on the x axis.
        log: whether the x axis is logarithmic.
        scale: the factor by which values are multiplied for drawing.
        hover: the format of a drawn value under the pointer.
        log_values: whether the y axis is logarithmic.
    """
    figure = FigureBuilder(
        [
            line(x, name, [scale * value for value in values], style, hover)
            # zip stops at the shorter one: a line without a style of its own would be lost.
            for (name, values), style in zip(lines.items(), STYLES, strict=False)
        ]
    )
    canvas(figure, height=LINES_HEIGHT, legend_lines=1)
    # The legend is above the plot; the margin keeps it from being cut off.
    # one box for all lines at an x, which names each
    figure.update_layout(margin={"t": 8 + LEGEND_LINE}, hovermode="x unified")
    figure.update_xaxes(title={"text": axes[0]})
    if log:
        # Plotly's own ticks on a logarithmic axis rarely match the few values measured.
        figure.update_xaxes(type="log", tickvals=list(x), ticktext=[f"{value:g}" for value in x])
    figure.update_yaxes(title={"text": axes[1]})
    if log_values:
        figure.update_yaxes(type="log")
    else:
        figure.update_yaxes(rangemode="tozero")
    if at is not None:
        # Shapes take plain values on a logarithmic axis too, unlike annotations.
        figure.add_vline(x=at, line=MARK)
    data: dict[str, Any] = {axes[0]: x, **lines}
    return Chart(title=title, figure=figure.build(), table=pd.DataFrame(data), alt=alt, caption=caption)


def line(x: Sequence[float], name: str, values: Sequence[float], style: Style, hover: str) -> go.Scatter:
    """Return one line with markers; `hover` is the text under the pointer."""
    colour, dash, symbol = style
    return go.Scatter(
        x=list(x),
        y=values,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"symbol": symbol, "size": 9},
        hovertemplate=hover,
    )


@dataclass(frozen=True)
class Bar:
    """A name and an amount.

    Attributes:
        name: the label of the bar.
        value: a share.
        highlighted: whether it is hatched and has an arrow before its name, such as the user's own.
        second_kind: whether it belongs to a second kind, drawn in another colour.
        note: what that kind is, for the table.
    """

    name: str
    value: float
    highlighted: bool = False
    second_kind: bool = False
    note: str = ""


@shared
def bar_chart(bars: Sequence[Bar], *, axis: str, title: str, alt: str, caption: str) -> Chart:
    """Plot horizontal bars in percent, the first on top."""
    colours = [
        palette.ORANGE if bar.highlighted else palette.GREEN if bar.second_kind else palette.BLUE
        for bar in bars
    ]
    drawn = go.Bar(
        x=[100 * bar.value for bar in bars],
        y=[f"▶ {bar.name}" if bar.highlighted else bar.name for bar in bars],
        text=[percent(bar.value) for bar in bars],
        orientation="h",
        textposition="outside",
        cliponaxis=False,
        marker={
            "color": colours,
            "cornerradius": 3,
            # hatched, so that it differs without colour
            "pattern": {"shape": ["/" if bar.highlighted else "" for bar in bars]},
        },
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure = canvas(FigureBuilder(drawn), height=BAR * len(bars) + EDGE)
    figure.update_layout(bargap=0.3, showlegend=False)
    figure.update_xaxes(
        title={"text": axis},
        # 118 rather than 100: the numbers stand to the right of the bars.
        range=[0, 118 * (largest(bar.value for bar in bars) or 0.01)],
        showgrid=True,
        gridcolor=palette.GRID,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)  # a category axis starts at the bottom
    table = pd.DataFrame([(bar.name, bar.value, bar.note) for bar in bars], columns=["name", "value", "note"])
    return Chart(
        title=title,
        figure=figure.build(),
        table=table if any(table["note"]) else table.drop(columns="note"),
        alt=alt,
        caption=caption,
    )


@dataclass(frozen=True)
class Panel:
    """One of two panels: its title, its values, and the factor by which they are multiplied for drawing."""

    title: str
    values: Sequence[float]
    scale: float = 1.0


@shared
def pair_chart(
    x: Sequence[float],
    upper: Panel,
    lower: Panel,
    *,
    axis: str,
    at: float,
    title: str,
    alt: str,
    caption: str,
) -> Chart:
    """Plot two panels over one x axis with the title `axis`; the place `at` is marked in both."""
    figure = panels([0.5, 0.5], [upper.title, lower.title], 0.14)
    canvas(figure, PANELS_HEIGHT)
    for row, (panel, style) in enumerate(zip((upper, lower), PANEL_STYLES, strict=True), start=1):
        values = [panel.scale * value for value in panel.values]
        hover = f"%{{x}}: {panel.title} %{{y:.4~g}}<extra></extra>"
        figure.add_trace(line(x, panel.title, values, style, hover), row=row, col=1)
    figure.add_vline(x=at, line=MARK)  # without row and col it crosses both panels
    figure.update_layout(showlegend=False, margin={"t": 30})  # pixels for the title of the upper panel
    figure.update_xaxes(tickvals=list(x))
    figure.update_xaxes(title={"text": axis}, row=2, col=1)
    figure.update_yaxes(zeroline=True, zerolinecolor=palette.GREY, rangemode="tozero", nticks=5)
    table = pd.DataFrame({axis: list(x), upper.title: upper.values, lower.title: lower.values})
    return Chart(title=title, figure=figure.build(), table=table, alt=alt, caption=caption)
