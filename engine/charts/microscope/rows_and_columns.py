"""One linear by its rows (outputs) and columns (inputs): how much each was pruned, and what that did.

The sparsity of every row and column; the sparsity of the columns against the activation norms of their
inputs; and the rows whose outputs changed most on the calibration text.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.ranks import rank_correlation
from engine.analysis.microscope.types import Counts, Numbers, Picture, Span, Study
from engine.charts import palette
from engine.charts.chart import FINE, Chart, canvas, ceiling, panels
from engine.charts.figure import FigureBuilder
from engine.numbers import percent, plural, signed

HEIGHT = 300
WIDE = 20
"""Ratio of the largest norm to the median above which the axis of the norms is logarithmic."""


def sparsity_profiles(picture: Picture) -> Chart:
    """Return the sparsity of every row and column as step lines; the part that the map shows is shaded."""
    rows = picture.row_removed / picture.shape[1]  # [out]; a row has `in` weights
    columns = picture.column_removed / picture.shape[0]  # [in]; a column has `out` weights
    figure = panels([0.5, 0.5], [f"Rows: {_range(rows)}", f"Columns: {_range(columns)}"], spacing=0.26)
    for panel, (name, values, span, colour) in enumerate(
        (("row", rows, picture.rows, palette.BLUE), ("column", columns, picture.columns, palette.GREEN)), 1
    ):
        figure.add_trace(_steps(values, name, colour), row=panel, col=1)
        if not picture.whole:
            _shade(figure, span, panel)
    canvas(figure, height=HEIGHT)
    figure.update_layout(showlegend=False, margin={"t": 26})
    figure.update_yaxes(title={"text": "Sparsity, %"}, range=[0, 102], nticks=4)
    figure.update_xaxes(range=[-0.5, len(rows) - 0.5], row=1, col=1)
    figure.update_xaxes(range=[-0.5, len(columns) - 0.5], row=2, col=1)
    figure.update_xaxes(matches=None, showticklabels=True)  # rows and columns differ in number
    tables = [
        pd.DataFrame({"kind": kind, "index": np.arange(len(removed)), "removed": removed, "sparsity": shares})
        for kind, removed, shares in (
            ("row", picture.row_removed, rows),
            ("column", picture.column_removed, columns),
        )
    ]
    return Chart(
        title="Sparsity per row and column",
        figure=figure.build(),
        table=pd.concat(tables, ignore_index=True),
        alt=f"Two step lines of the sparsity. Per row: {_range(rows)}. Per column: {_range(columns)}.",
        caption="An empty row is a constant output; an empty column is an input that is no longer read."
        f"{_empty_words(rows, columns)}",
        explain=partial(microscope.sparsity_profiles, picture),
    )


def _empty_words(rows: Numbers, columns: Numbers) -> str:
    empty = [
        plural(int((values == 1).sum()), name)
        for values, name in ((rows, "row"), (columns, "column"))
        if (values == 1).any()
    ]
    return f" Empty: {' and '.join(empty)}." if empty else ""


def _range(values: Numbers) -> str:
    low, high = percent(float(values.min())), percent(float(values.max()))
    return f"all {low}" if low == high else f"{low} to {high}"


def _steps(values: Numbers, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=np.arange(len(values)),
        y=100 * values,
        mode="lines",
        line={"color": colour, "width": 1.5, "shape": "hvh"},  # steps centred on each index
        fill="tozeroy",
        hovertemplate=f"{name} %{{x}}<br>%{{y:.1f}} % removed<extra></extra>",
    )


def _shade(figure: FigureBuilder, span: Span, panel: int) -> None:
    figure.add_vrect(
        x0=span[0] - 0.5,  # spans exclude their end, cells are one wide
        x1=span[1] - 0.5,
        fillcolor=palette.GREY,
        opacity=0.25,
        line_width=0,
        row=panel,
        col=1,
    )


def norms_against_sparsity(norms: Numbers, column_removed: Counts, rows: int) -> Chart:
    """Return each column's activation norm against its sparsity: do strong inputs keep more of their weights?

    Args:
        norms: activation norm of each input, `[in]`.
        column_removed: weights removed from each column, `[in]`, of its `rows`.
    """
    shares = column_removed / rows
    positive = norms[norms > 0]  # a dead input has norm 0, which a logarithmic axis cannot show
    wide = bool(positive.size) and float(positive.max()) > WIDE * float(np.median(positive))
    points = go.Scatter(
        x=norms,
        y=100 * shares,
        customdata=np.arange(len(norms)),
        mode="markers",
        marker={"color": palette.GREEN, "size": 7, "opacity": 0.65},
        hovertemplate="column %{customdata}<br>norm %{x:.3g}<br>%{y:.1f} % removed<extra></extra>",
    )
    figure = canvas(FigureBuilder(points), height=HEIGHT)
    figure.update_xaxes(title={"text": "Activation norm of the input"}, type="log" if wide else "linear")
    figure.update_yaxes(title={"text": "Sparsity, %"}, range=[-2, 102])
    correlation = rank_correlation(norms, shares)
    words = (
        "All columns have the same sparsity."
        if correlation is None
        else f"Rank correlation {signed(correlation, 2)}."
    )
    return Chart(
        title="Activation norm against sparsity, per column",
        figure=figure.build(),
        table=pd.DataFrame(
            {
                "column": np.arange(len(norms)),
                "activation_norm": norms,
                "removed": column_removed,
                "sparsity": shares,
            }
        ),
        alt=f"Scatter chart of {len(norms):,} columns: activation norm against sparsity. {words}",
        caption="One point per column. A method that uses calibration data keeps the weights of strongly "
        f"activated inputs, so the points fall to the right. {words}",
        explain=partial(microscope.norms_against_sparsity, norms, column_removed, rows),
    )


def worst_rows(study: Study) -> Chart:
    """Return the rows with the largest relative output error, and the median of all rows as a line."""
    columns = ["row", "error", "share", "sparsity"]
    table = pd.DataFrame([[getattr(row, name) for name in columns] for row in study.lost], columns=columns)
    names = [f"{row}" for row in table["row"]]  # text, for a category axis in the order of the errors
    bars = go.Bar(
        x=names,
        y=100 * table["error"],
        name="row",
        showlegend=False,
        customdata=table[["share", "sparsity"]],
        marker={"color": palette.VERMILLION, "cornerradius": 3},
        hovertemplate="row %{x}<br>error %{y:.1f} %<br>%{customdata[0]:.1%} of the linear's squared error"
        "<br>%{customdata[1]:.1%} of its weights removed<extra></extra>",
    )
    median = go.Scatter(
        x=names,
        y=[100 * study.median_error] * len(names),
        name=f"median of all rows: {percent(study.median_error)}",
        mode="lines",
        line={"color": palette.BLUE, "dash": "dash", "width": 2.5},
        hoverinfo="skip",
    )
    figure = canvas(FigureBuilder([bars, median]), height=HEIGHT, legend_lines=1)
    top = ceiling(max(table["error"].max() if len(table) else 0.0, study.median_error), FINE)
    figure.update_xaxes(title={"text": "Row: output"}, type="category")
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, 102 * top])
    first = f", starting with row {study.lost[0].row} at {percent(study.lost[0].error)}" if study.lost else ""
    return Chart(
        title="Rows with the largest output error",
        figure=figure.build(),
        table=table,
        alt=f"Bar chart of the {len(table)} rows with the largest relative output error{first}. "
        f"Median of all rows {percent(study.median_error)}.",
        caption=f"‖y − y′‖ / ‖y‖ of single outputs from the same input, on {study.sampled:,} sampled "
        f"calibration tokens. These {len(table)} rows account for {percent(float(table['share'].sum()))} of "
        f"the squared error of the whole output, whose relative error is {percent(study.error)}.",
        explain=partial(microscope.worst_rows, study),
    )
