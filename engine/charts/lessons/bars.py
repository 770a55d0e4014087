"""Named amounts as bars that lie, the number behind each; one's own is hatched, so that it is found without its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.numbers import largest, percent

BAR, EDGE = 36, 56
"""Pixels of a bar, and of the axis."""


@dataclass(frozen=True)
class Bar:
    """A name and an amount, a share: hatched where it is one's own, in another colour where it is of another kind, which `note` names."""

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
        marker={"color": colours, "cornerradius": 3, "pattern": {"shape": ["/" if bar.mine else "" for bar in bars]}},
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure = canvas(go.Figure(drawn), height=BAR * len(bars) + EDGE)
    figure.update_layout(bargap=0.3, showlegend=False)
    figure.update_xaxes(title={"text": axis}, range=[0, 118 * (largest(bar.value for bar in bars) or 0.01)], showgrid=True, gridcolor=palette.GRID)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    table = pd.DataFrame([(bar.name, bar.value, bar.note) for bar in bars], columns=["name", "value", "note"])
    return Chart(title=title, figure=figure, table=table if any(table["note"]) else table.drop(columns="note"), alt=alt, caption=caption)


def _label(bar: Bar) -> str:
    return f"▶ {bar.name}" if bar.mine else bar.name
