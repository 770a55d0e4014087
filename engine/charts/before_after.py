"""Two measurements of every block, before something was done to it and after, and what share of the first
that took away.

A block's figure is the mean over those of its linears that have both, weighted by their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, nan

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import (
    FINE,
    HEIGHT,
    block_count,
    canvas,
    ceiling,
    done_blocks,
    largest,
    panels,
    progress_words,
    share_block_axis,
)
from engine.events import LinearPruned
from engine.numbers import percent
from engine.record import RunRecord

Value = Callable[[LinearPruned], float | None]
Weight = Callable[[LinearPruned], int]
ROOM_FOR_NUMBERS = 16


def weights(linear: LinearPruned) -> int:
    """How many weights the linear has."""
    return linear.rows * linear.columns


def pairs(record: RunRecord, before: Value, after: Value, weight: Weight = weights) -> pd.DataFrame:
    """One row a block that has both: `before`, `after` and `less`, the share of the first that is gone (none
    where that says nothing).
    """
    rows = []
    for block in done_blocks(record):
        found = [(weight(linear), before(linear), after(linear)) for linear in block.linears]
        both = [(size, one, other) for size, one, other in found if one is not None and other is not None]
        if both:
            total = sum(size for size, *_ in both)
            first, second = (sum(item[0] * item[place] for item in both) / total for place in (1, 2))
            rows.append(
                (
                    block.index,
                    first,
                    second,
                    1 - second / first if 0 < first < float("inf") and isfinite(second) else nan,
                )
            )
    return pd.DataFrame(rows, columns=["block", "before", "after", "less"]).astype(
        {"before": float, "after": float, "less": float}
    )


def dumbbells(table: pd.DataFrame, scale: float, names: tuple[str, str], unit: str) -> list[go.Scatter]:
    """A hollow mark before, a filled one after, and a line between the two; values are drawn times `scale`."""
    ends: list[tuple[float | None, float | None]] = []
    for block, before, after in zip(
        table["block"], scale * table["before"], scale * table["after"], strict=True
    ):
        ends += [(block, before), (block, after), (None, None)]
    line = {"color": palette.GREY, "width": 2}
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
        line=line,
        showlegend=False,
        hoverinfo="skip",
    )
    return [join, *marks]


def error_figure(record: RunRecord, table: pd.DataFrame, names: tuple[str, str], gain: str) -> go.Figure:
    """Dumbbells of an error above, the share of it that is gone below."""
    total = block_count(record)
    figure = canvas(panels([0.6, 0.4]), HEIGHT + 40, legend_lines=1)
    figure.add_traces(dumbbells(table, 100, names, " %"), rows=1, cols=1)
    figure.add_trace(_share(table, gain, total), row=2, col=1)
    share_block_axis(figure, total, 2)
    figure.update_yaxes(
        title={"text": "Error, %"},
        range=[0, 108 * ceiling(largest([*table["before"], *table["after"]]), FINE)],
        row=1,
        col=1,
    )
    figure.update_yaxes(
        title={"text": f"{gain}, %"},
        range=_range(table["less"]),
        zeroline=True,
        zerolinecolor=palette.GREY,
        nticks=5,
        row=2,
        col=1,
    )
    return figure


def summary(record: RunRecord, table: pd.DataFrame, subject: str) -> str:
    """What the subject did to the error on the whole, and where most and least of it went."""
    known = table.dropna(subset="less")
    if known.empty:
        return "Not measured." if record.blocks else "Nothing is done yet."
    mean, digits = known["less"].mean(), _digits(table)
    did = f"takes back {percent(mean, digits)} of" if mean >= 0 else f"adds {percent(-mean, digits)} to"
    best, worst = known.loc[known["less"].idxmax()], known.loc[known["less"].idxmin()]
    least, most = (
        f"{percent(block['less'], digits)} (block {int(block['block'])})" for block in (worst, best)
    )
    return f"{subject} {did} the error on average ({progress_words(record)}); the share taken back goes from {least} to {most}."


def _digits(table: pd.DataFrame) -> int:
    """Digits behind the point of a share in percent: one where all are small."""
    return 1 if largest(table["less"].abs()) < 0.1 else 0


def _share(table: pd.DataFrame, gain: str, total: int) -> go.Bar:
    digits = _digits(table)
    return go.Bar(
        x=table["block"],
        y=100 * table["less"],
        marker={"color": palette.GREEN, "cornerradius": 3},
        text=[percent(less, digits).removesuffix(" %") if isfinite(less) else "" for less in table["less"]]
        if total <= ROOM_FOR_NUMBERS
        else None,
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        showlegend=False,
        hovertemplate=f"block %{{x}}<br>{gain.lower()} %{{y:.1f}} %<extra></extra>",
    )


def _range(shares: pd.Series) -> list[float]:
    """From 0, or from below where something was made worse, to a round number with room for labels."""
    top, bottom = 100 * largest(shares), 100 * largest(-shares)
    end, start = ceiling(top, FINE) if top > 0 else 0.0, ceiling(bottom, FINE) if bottom > 0 else 0.0
    height = (end + start) or 100.0
    return [-start - (0.25 * height if start else 0), (end or 0.0) + 0.25 * height]
