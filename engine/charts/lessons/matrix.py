"""A matrix small enough to display: a heat map with numbers in the cells. A removed weight is an empty tile
with a cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas, ceiling, largest
from engine.charts.figure import FigureBuilder, subplots
from engine.charts.lessons.shared import shared
from engine.numbers import decimal

CELL, EDGE, STRIP = 33, 46, 64
"""Pixels of a row, of the axis, and of the bars above the matrix."""
WIDE = 10
"""With more columns than this, the numbers are smaller."""
FRAME = 0.44
"""Half the side of a frame around a cell, in cells; below 0.5, so that frames of neighbours do not touch."""


@dataclass(frozen=True)
class Bars:
    """A number for each column (above the matrix) or for each row (to its right)."""

    title: str
    values: Sequence[float]


@dataclass(frozen=True)
class Matrix:
    """A matrix and how to draw it.

    Attributes:
        values: the numbers by row and column.
        kept: the mask by row and column; all are kept if it is None.
        signed: whether the colour scale runs from negative to positive, or from zero to large.
        decimals: digits after the decimal point.
        name: what a number is, for the table and under the pointer.
        marked: cells with a frame, by row and column.
        group: how many columns form a group, with a line between groups; 0 for none.
        above, right: bars along the columns and along the rows.
        rows, columns: the letter before the number of a row and of a column.
    """

    values: Sequence[Sequence[float]]
    kept: Sequence[Sequence[bool]] | None = None
    signed: bool = True
    decimals: int = 1
    name: str = "weight"
    marked: Sequence[tuple[int, int]] = ()
    group: int = 0
    above: Bars | None = None
    right: Bars | None = None
    rows: str = "y"
    columns: str = "x"

    @property
    def mask(self) -> Sequence[Sequence[bool]]:
        """True for each kept cell."""
        return self.kept or [[True] * len(row) for row in self.values]


@shared
def matrix_chart(matrix: Matrix, *, title: str, alt: str, caption: str) -> Chart:
    """Plot a matrix; the chart's table has a row per cell."""
    return Chart(title=title, figure=_figure(matrix), table=_table(matrix), alt=alt, caption=caption)


def _table(matrix: Matrix) -> pd.DataFrame:
    rows = [
        (
            f"{matrix.rows}{row + 1}",
            f"{matrix.columns}{column + 1}",
            value,
            matrix.mask[row][column],
            (row, column) in matrix.marked,
        )
        for row, values in enumerate(matrix.values)
        for column, value in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["row", "column", matrix.name, "kept", "framed"])
    return table if matrix.marked else table.drop(columns="framed")


def _figure(matrix: Matrix) -> go.Figure:
    rows, columns = len(matrix.values), len(matrix.values[0])
    inner, strip = rows * CELL, STRIP if matrix.above else 0
    figure = subplots(
        rows=2 if matrix.above else 1,
        cols=2 if matrix.right else 1,
        # shares of the height
        row_heights=(strip / (inner + strip), inner / (inner + strip)) if matrix.above else None,
        column_widths=(0.78, 0.22) if matrix.right else None,  # shares of the width
        vertical_spacing=0.02,
        horizontal_spacing=0.03,
    )
    place: dict[str, Any] = {"row": 2 if matrix.above else 1, "col": 1}  # the panel of the matrix
    for trace in _cells(matrix):
        figure.add_trace(trace, **place)
    canvas(figure, height=inner + strip + EDGE)
    figure.update_xaxes(range=[-0.5, columns - 0.5], tickvals=list(range(columns)), showticklabels=False)
    figure.update_xaxes(ticktext=_names(matrix.columns, columns), showticklabels=True, **place)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],  # reversed: row 1 on top
        tickvals=list(range(rows)),
        ticktext=_names(matrix.rows, rows),
        showgrid=False,
        **place,
    )
    if matrix.above:
        _add_above(figure, matrix.above)
    if matrix.right:
        _add_right(figure, matrix.right, place["row"], rows)
    # between columns at - 1 and at
    for at in range(matrix.group, columns, matrix.group) if matrix.group else ():
        figure.add_vline(x=at - 0.5, line={"color": palette.GREY, "width": 2}, **place)
    for row, column in matrix.marked:
        box: dict[str, Any] = {
            "x0": column - FRAME,
            "x1": column + FRAME,
            "y0": row - FRAME,
            "y1": row + FRAME,
        }
        figure.add_shape(type="rect", line={"color": palette.VERMILLION, "width": 2.5}, **box, **place)
    # a drag must not zoom: touch screens scroll with it
    figure.update_layout(showlegend=False, dragmode=False)
    return figure.build()


def _names(word: str, count: int) -> list[str]:
    return [f"{word}{at + 1}" for at in range(count)]


def _cells(matrix: Matrix) -> list[go.Heatmap | go.Scatter]:
    """Return empty tiles, the numbers of the kept cells, and crosses on the removed ones."""
    values, mask = matrix.values, matrix.mask
    shown = [
        [value if kept else None for value, kept in zip(*both, strict=True)]
        for both in zip(values, mask, strict=True)
    ]
    texts = [["" if value is None else decimal(value, matrix.decimals) for value in row] for row in shown]
    # also of removed weights: the colours stay when the mask changes
    top = largest(abs(value) for row in values for value in row) or 1.0
    removed = [(row, column) for row, line in enumerate(mask) for column, kept in enumerate(line) if not kept]
    heat = go.Heatmap(
        z=shown,
        text=texts,
        texttemplate="%{text}",
        textfont={"color": palette.INK, "size": 13 if len(values[0]) <= WIDE else 11},
        zmin=-top if matrix.signed else 0,  # symmetric, so that 0 has the neutral colour
        zmax=top,
        colorscale=palette.SIGNED if matrix.signed else palette.AMOUNT,
        hovertemplate=f"{matrix.name} %{{text}}<extra></extra>",
        showscale=False,
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    # Removed cells are holes in the heat map; the tiles below fill them with a neutral colour.
    tiles = go.Heatmap(
        z=[[0] * len(row) for row in values],
        colorscale=[[0, palette.UNDONE], [1, palette.UNDONE]],
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
    crosses = go.Scatter(
        x=[column for _, column in removed],
        y=[row for row, _ in removed],
        text=[decimal(values[row][column], matrix.decimals) for row, column in removed],
        mode="markers",
        # thin symbols are only drawn by their line
        marker={"symbol": "x-thin", "size": 10, "line": {"color": palette.GREY, "width": 2}},
        hovertemplate="removed, was %{text}<extra></extra>",
    )
    return [tiles, heat, crosses]  # bottom to top


def _add_above(figure: FigureBuilder, bars: Bars) -> None:
    top = 1.35 * (largest(bars.values) or 1.0)  # the numbers stand above the bars
    figure.add_trace(_bars(list(range(len(bars.values))), bars.values, palette.GREEN, "v"), row=1, col=1)
    figure.update_yaxes(
        # one tick serves as the title of the strip
        range=[0, top],
        tickvals=[top / 3],
        ticktext=[bars.title],
        showgrid=False,
        row=1,
        col=1,
    )


def _add_right(figure: FigureBuilder, bars: Bars, row: int, rows: int) -> None:
    top = 1.6 * ceiling(largest(bars.values))  # room for the numbers right of the bars
    figure.add_trace(_bars(bars.values, list(range(rows)), palette.VERMILLION, "h"), row=row, col=2)
    figure.update_xaxes(
        range=[0, top],
        showticklabels=False,
        tickvals=[],
        title={"text": bars.title, "font": {"size": 11}},
        row=row,
        col=2,
    )
    figure.update_yaxes(range=[rows - 0.5, -0.5], showticklabels=False, showgrid=False, row=row, col=2)


def _bars(x: Sequence[float], y: Sequence[float], colour: str, orientation: str) -> go.Bar:
    values = y if orientation == "v" else x
    return go.Bar(
        x=x,
        y=y,
        text=[f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values],
        textposition="outside",
        cliponaxis=False,
        orientation=orientation,
        marker={"color": colour, "cornerradius": 3},
        width=0.7,
        hoverinfo="skip",
    )
