"""Dumbbell charts: a value per block before a step and after it, and the share that the step removed."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.changes import Change
from engine.charts import palette
from engine.charts.chart import (
    FINE,
    HEIGHT,
    block_count,
    canvas,
    ceiling,
    largest,
    panels,
    progress_words,
    share_block_axis,
)
from engine.numbers import percent
from engine.record import RunRecord

MOST_LABELS = 16
"""Blocks up to which the bars have room for their numbers."""


def change_table(changes: Sequence[Change]) -> pd.DataFrame:
    """Return one row per block: `block`, `before`, `after` and `less`, as in `Change`."""
    rows = [(change.block, change.before, change.after, change.less) for change in changes]
    table = pd.DataFrame(rows, columns=["block", "before", "after", "less"])
    return table.astype({"before": float, "after": float, "less": float})


def dumbbells(table: pd.DataFrame, scale: float, names: tuple[str, str], unit: str) -> list[go.Scatter]:
    """Return a hollow mark before, a filled one after, and a line between the two.

    Args:
        scale: factor from the table's values to the axis, 100 for percent.
        names: of the two marks in the legend.
        unit: what a hover text says after a value.
    """
    ends: list[tuple[float | None, float | None]] = []
    for block, before, after in zip(
        table["block"], scale * table["before"], scale * table["after"], strict=True
    ):
        ends += [(block, before), (block, after), (None, None)]  # None breaks the line between blocks
    hollow = {"symbol": "circle-open", "size": 10, "color": palette.VERMILLION, "line": {"width": 2.5}}
    filled = {"symbol": "diamond", "size": 10, "color": palette.BLUE}
    marks = [
        go.Scatter(
            x=table["block"],
            y=scale * table[column],
            mode="markers",
            marker=marker,
            name=name,
            hovertemplate=f"block %{{x}}<br>{name}: %{{y:.3~g}}{unit}<extra></extra>",
        )
        for column, name, marker in (("before", names[0], hollow), ("after", names[1], filled))
    ]
    join = go.Scatter(
        x=[x for x, _ in ends],
        y=[y for _, y in ends],
        mode="lines",
        line={"color": palette.GREY, "width": 2},
        showlegend=False,
        hoverinfo="skip",
    )
    return [join, *marks]  # the line beneath, so hollow marks are drawn over it


def error_figure(record: RunRecord, table: pd.DataFrame, names: tuple[str, str], share: str) -> go.Figure:
    """Return dumbbells of an error in the upper panel, and in the lower one, titled `share`, the share of it
    that is no longer there.
    """
    total = block_count(record)
    figure = canvas(panels([0.6, 0.4]), HEIGHT + 40, legend_lines=1)
    figure.add_traces(dumbbells(table, 100, names, " %"), row=1, col=1)
    figure.add_trace(_share_bars(table, share, total), row=2, col=1)
    share_block_axis(figure, total, 2)
    figure.update_yaxes(
        title={"text": "Relative error, %"},
        # percent, and 8 % of space for the marks
        range=[0, 108 * ceiling(largest([*table["before"], *table["after"]]), FINE)],
        row=1,
        col=1,
    )
    figure.update_yaxes(
        title={"text": f"{share}, %"},
        range=share_range(table["less"]),
        zeroline=True,  # below it an update or swap made things worse
        zerolinecolor=palette.GREY,
        nticks=5,
        row=2,
        col=1,
    )
    return figure.build()


def summary(record: RunRecord, table: pd.DataFrame, subject: str) -> str:
    """Return how the subject changed the error on average, and in which blocks most and least."""
    known = table.dropna(subset="less")
    if known.empty:
        return "Not measured." if record.blocks else "No block is finished yet."
    mean, digits = known["less"].mean(), _digits(table)
    change = f"removes {percent(mean, digits)} of" if mean >= 0 else f"adds {percent(-mean, digits)} to"
    best, worst = known.loc[known["less"].idxmax()], known.loc[known["less"].idxmin()]
    least, most = (
        f"{percent(block['less'], digits)} (block {int(block['block'])})" for block in (worst, best)
    )
    return (
        f"{subject} {change} the error on average ({progress_words(record)}); "
        f"the share removed ranges from {least} to {most}."
    )


def _digits(table: pd.DataFrame) -> int:
    """Return the decimals of a share in percent: one if all shares are small."""
    return 1 if largest(table["less"].abs()) < 0.1 else 0


def _share_bars(table: pd.DataFrame, name: str, total: int) -> go.Bar:
    digits = _digits(table)
    labels = [percent(less, digits).removesuffix(" %") if isfinite(less) else "" for less in table["less"]]
    return go.Bar(
        x=table["block"],
        y=100 * table["less"],
        marker={"color": palette.GREEN, "cornerradius": 3},
        text=labels if total <= MOST_LABELS else None,
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        showlegend=False,
        hovertemplate=f"block %{{x}}<br>{name.lower()} %{{y:.1f}} %<extra></extra>",
    )


def share_range(shares: pd.Series) -> list[float]:
    """Return the axis from 0, or from below if something became worse, with a quarter more for the labels."""
    # largest of a negated series: how far below 0
    top, bottom = 100 * largest(shares), 100 * largest(-shares)
    end, start = ceiling(top, FINE) if top > 0 else 0.0, ceiling(bottom, FINE) if bottom > 0 else 0.0
    height = (end + start) or 100.0
    return [-start - (0.25 * height if start else 0), end + 0.25 * height]
