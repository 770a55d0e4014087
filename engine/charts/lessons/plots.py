"""Several lines over one axis, each told apart by its colour, its dash and its symbol, with a place on the
axis marked where one is chosen.

Named amounts as bars that lie, the number behind each; one's own is hatched, so that it is found without its
colour.

Two quantities over one axis, a panel each: what happens to one while the other gets better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas, largest, panels
from engine.numbers import percent

PAIRS_HEIGHT = 390
LOOKS = ((palette.BLUE, "circle"), (palette.VERMILLION, "diamond"))


@dataclass(frozen=True)
class Panel:
    """What a panel shows: its title, the values, and what they are multiplied with to be drawn."""

    title: str
    values: Sequence[float]
    scale: float = 1.0


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
    """Two panels over one x axis, whose title is `axis`, with the place `at` marked in both."""
    figure = panels([0.5, 0.5], [upper.title, lower.title], 0.14)
    canvas(figure, PAIRS_HEIGHT)
    for row, (panel, (colour, symbol)) in enumerate(zip((upper, lower), LOOKS, strict=True), start=1):
        figure.add_trace(_line_pairs(x, panel, colour, symbol), row=row, col=1)
    figure.add_vline(x=at, line={"color": palette.GREY, "width": 2, "dash": "dot"})
    figure.update_layout(showlegend=False, margin={"t": 30})
    figure.update_xaxes(tickvals=list(x))
    figure.update_xaxes(title={"text": axis}, row=2, col=1)
    figure.update_yaxes(zeroline=True, zerolinecolor=palette.GREY, rangemode="tozero", nticks=5)
    table = pd.DataFrame({axis: list(x), upper.title: upper.values, lower.title: lower.values})
    return Chart(title=title, figure=figure, table=table, alt=alt, caption=caption)


def _line_pairs(x: Sequence[float], panel: Panel, colour: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=list(x),
        y=[panel.scale * value for value in panel.values],
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": symbol, "size": 9},
        hovertemplate=f"%{{x}}: {panel.title} %{{y:.4~g}}<extra></extra>",
    )


BAR, EDGE = 36, 56
"""Pixels of a bar, and of the axis."""


@dataclass(frozen=True)
class Bar:
    """A name and an amount, a share: hatched where it is one's own, in another colour where it is of another
    kind, which `note` names.
    """

    name: str
    value: float
    mine: bool = False
    other: bool = False
    note: str = ""


def bar_chart(bars: Sequence[Bar], *, axis: str, title: str, alt: str, caption: str) -> Chart:
    """Bars in the order in which they come, the first on top, in percent."""
    colours = [palette.ORANGE if bar.mine else palette.GREEN if bar.other else palette.BLUE for bar in bars]
    drawn = go.Bar(
        x=[100 * bar.value for bar in bars],
        y=[_label(bar) for bar in bars],
        text=[percent(bar.value) for bar in bars],
        orientation="h",
        textposition="outside",
        cliponaxis=False,
        marker={
            "color": colours,
            "cornerradius": 3,
            "pattern": {"shape": ["/" if bar.mine else "" for bar in bars]},
        },
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure = canvas(go.Figure(drawn), height=BAR * len(bars) + EDGE)
    figure.update_layout(bargap=0.3, showlegend=False)
    figure.update_xaxes(
        title={"text": axis},
        range=[0, 118 * (largest(bar.value for bar in bars) or 0.01)],
        showgrid=True,
        gridcolor=palette.GRID,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    table = pd.DataFrame([(bar.name, bar.value, bar.note) for bar in bars], columns=["name", "value", "note"])
    return Chart(
        title=title,
        figure=figure,
        table=table if any(table["note"]) else table.drop(columns="note"),
        alt=alt,
        caption=caption,
    )


def _label(bar: Bar) -> str:
    return f"▶ {bar.name}" if bar.mine else bar.name


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
        [
            _line(x, name, [scale * value for value in values], style, hover)
            for (name, values), style in zip(lines.items(), STYLES, strict=False)
        ]
    )
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(margin={"t": 8 + LEGEND_LINE}, hovermode="x unified")
    figure.update_xaxes(title={"text": axes[0]})
    if log:
        figure.update_xaxes(type="log", tickvals=list(x), ticktext=[f"{value:g}" for value in x])
    figure.update_yaxes(
        title={"text": axes[1]}, **({"type": "log"} if log_values else {"rangemode": "tozero"})
    )
    if at is not None:
        figure.add_vline(x=at, line={"color": palette.GREY, "width": 2, "dash": "dot"})
    data: dict[str, Any] = {axes[0]: x, **lines}
    return Chart(title=title, figure=figure, table=pd.DataFrame(data), alt=alt, caption=caption)


def _line(
    x: Sequence[float], name: str, values: Sequence[float], style: tuple[str, str, str], hover: str
) -> go.Scatter:
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
