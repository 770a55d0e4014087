"""Where in a linear the zeros are: how much each row (output neuron) and each column (input) lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.microscope.types import Counts, Numbers, Picture, Span
from engine.charts import palette
from engine.charts.chart import Chart, canvas, panels
from engine.numbers import percent

HEIGHT = 300


def sparsity_profiles(picture: Picture) -> Chart:
    """Two step lines over the whole linear; the part that the map shows is shaded."""
    rows, columns = (
        profile(picture.row_removed, picture.shape[1]),
        profile(picture.column_removed, picture.shape[0]),
    )
    figure = panels([0.5, 0.5], [f"Rows: {_spread(rows)}", f"Columns: {_spread(columns)}"], spacing=0.26)
    for place, (values, span, colour) in enumerate(
        ((rows, picture.rows, palette.BLUE), (columns, picture.columns, palette.GREEN)), 1
    ):
        figure.add_trace(_line(values, "row" if place == 1 else "column", colour), row=place, col=1)
        if not picture.whole:
            _shade(figure, span, place)
    canvas(figure, height=HEIGHT)
    figure.update_layout(showlegend=False, margin={"t": 26})
    figure.update_yaxes(title={"text": "Removed, %"}, range=[0, 102], nticks=4)
    figure.update_xaxes(range=[-0.5, len(rows) - 0.5], row=1, col=1)
    figure.update_xaxes(range=[-0.5, len(columns) - 0.5], row=2, col=1, matches=None)
    figure.update_xaxes(matches=None, showticklabels=True)
    table = pd.concat(
        [_table("row", picture.row_removed, rows), _table("column", picture.column_removed, columns)],
        ignore_index=True,
    )
    return Chart(
        title="What each row and column lost",
        figure=figure,
        table=table,
        alt=f"Two step lines of the share removed. By row: {_spread(rows)}. By column: {_spread(columns)}.",
        caption=_caption(rows, columns),
    )


def profile(removed: Counts, length: int) -> Numbers:
    """Share removed of each row or column, whose length is given."""
    shares: Numbers = removed / length
    return shares


def _caption(rows: Numbers, columns: Numbers) -> str:
    dead = [
        _counted(int((values == 1).sum()), name)
        for values, name in ((rows, "row"), (columns, "column"))
        if (values == 1).any()
    ]
    words = f" Nothing is left of {' and '.join(dead)}." if dead else ""
    return f"Rows that lose all become constant outputs; columns that lose all are inputs that nobody reads any more.{words}"


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _spread(values: Numbers) -> str:
    low, high = float(values.min()), float(values.max())
    return (
        f"all lose {percent(low)}" if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"
    )


def _line(values: Numbers, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=np.arange(len(values)),
        y=100 * values,
        mode="lines",
        line={"color": colour, "width": 1.5, "shape": "hvh"},
        fill="tozeroy",
        hovertemplate=f"{name} %{{x}}<br>%{{y:.1f}} % removed<extra></extra>",
    )


def _shade(figure: go.Figure, span: Span, place: int) -> None:
    figure.add_vrect(
        x0=span[0] - 0.5,
        x1=span[1] - 0.5,
        fillcolor=palette.GREY,
        opacity=0.25,
        line_width=0,
        row=place,
        col=1,
    )


def _table(kind: str, removed: Counts, shares: Numbers) -> pd.DataFrame:
    return pd.DataFrame(
        {"kind": kind, "index": np.arange(len(removed)), "removed": removed, "sparsity": shares}
    )
