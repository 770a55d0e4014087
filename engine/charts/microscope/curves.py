"""Do strong inputs keep more of their weights? Each column's activation norm against what the column lost.

The output neurons that pruning changed most on the calibration text.

Singular values of the weight, dense against pruned: the strengths of the directions that the linear passes
on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.microscope.types import Counts, Numbers, Spectrum, Study, Values
from engine.charts import palette
from engine.charts.chart import Chart, canvas, ceiling
from engine.charts.microscope.profiles import profile
from engine.numbers import percent

SPECTRUM_HEIGHT = 300


def singular_values(spectrum: Spectrum) -> Chart:
    """Two lines, the largest value first."""
    places = np.arange(1, len(spectrum.dense) + 1)
    table = pd.DataFrame({"place": places, "dense": spectrum.dense, "pruned": spectrum.pruned})
    lines = [
        _line(places, spectrum.dense, "dense", palette.BLUE, "solid"),
        _line(places, spectrum.pruned, "pruned", palette.VERMILLION, "dash"),
    ]
    figure = canvas(go.Figure(lines), height=SPECTRUM_HEIGHT, legend_lines=1)
    figure.update_xaxes(title={"text": "Place, by size"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "Singular value"}, rangemode="tozero")
    dense, pruned = stable_rank(spectrum.dense), stable_rank(spectrum.pruned)
    return Chart(
        title="Singular values, dense against pruned",
        figure=figure,
        table=table,
        alt=f"Two falling lines of {len(places):,} singular values. Largest {_first(spectrum.dense)} dense and {_first(spectrum.pruned)} pruned; "
        f"stable rank {dense:.1f} and {pruned:.1f}.",
        caption=f"How strongly the linear passes on each of its directions. Stable rank ‖W‖²_F / σ₁², about how many of them count: "
        f"{dense:.1f} dense, {pruned:.1f} pruned.",
    )


def stable_rank(values: Numbers) -> float:
    """`||W||_F^2 / sigma_1^2` of the singular values, the largest first; 0 for a weight of zeros."""
    wide = values.astype(np.float64)
    return float((wide**2).sum() / wide[0] ** 2) if wide[0] > 0 else 0.0


def _first(values: Numbers) -> str:
    return f"{float(values[0]):.3g}"


def _line(places: Values, values: Numbers, name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=places,
        y=values,
        name=name,
        mode="lines",
        line={"color": colour, "width": 2.5, "dash": dash},
        hovertemplate=f"{name}, place %{{x}}<br>%{{y:.4g}}<extra></extra>",
    )


LOST_ROWS_HEIGHT = 300


def lost_rows(study: Study) -> Chart:
    """Bars of the relative error, the largest first, with the median of all rows as a line."""
    columns = ["row", "error", "share", "sparsity"]
    table = pd.DataFrame(
        [(row.row, row.error, row.share, row.sparsity) for row in study.lost], columns=columns
    )
    names = [f"{row}" for row in table["row"]]
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
    figure = canvas(go.Figure([bars, median]), height=LOST_ROWS_HEIGHT, legend_lines=1)
    top = ceiling(
        max(table["error"].max() if len(table) else 0.0, study.median_error), (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    )
    figure.update_xaxes(title={"text": "Row: output"}, type="category")
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, 102 * top])
    together = percent(float(table["share"].sum()))
    return Chart(
        title="The rows that lost most",
        figure=figure,
        table=table,
        alt=f"Bar chart of the {len(table)} rows with the largest relative output error{_worst(study)}. "
        f"Median of all rows {percent(study.median_error)}.",
        caption=f"‖y − y′‖ / ‖y‖ of single outputs from the same input, on {study.sampled:,} sampled calibration tokens. "
        f"These {len(table)} make up {together} of the squared error of the whole output, whose relative error is {percent(study.error)}.",
    )


def _worst(study: Study) -> str:
    return f", from row {study.lost[0].row} with {percent(study.lost[0].error)} on" if study.lost else ""


HEIGHT = 300
WIDE = 20
"""Largest norm over the median from which the axis is logarithmic."""


def norms_against_sparsity(norms: Numbers, column_removed: Counts, rows: int) -> Chart:
    """A point a column.

    Args:
        norms: `[in]`.
        column_removed: weights removed from each column, `[in]`, of its `rows`.
    """
    shares = profile(column_removed, rows)
    table = pd.DataFrame(
        {
            "column": np.arange(len(norms)),
            "activation_norm": norms,
            "removed": column_removed,
            "sparsity": shares,
        }
    )
    positive = norms[norms > 0]
    wide = bool(positive.size) and float(positive.max()) > WIDE * float(np.median(positive))
    figure = canvas(go.Figure(_points(norms, shares)), height=HEIGHT)
    figure.update_xaxes(title={"text": "Activation norm of the input"}, type="log" if wide else "linear")
    figure.update_yaxes(title={"text": "Removed, %"}, range=[-2, 102])
    found = rank_correlation(norms, shares)
    words = (
        "All columns lose the same." if found is None else f"Rank correlation {found:+.2f}.".replace("-", "−")
    )
    return Chart(
        title="Strong inputs against what they lost",
        figure=figure,
        table=table,
        alt=f"Scatter chart of {len(norms):,} columns: activation norm against the share of weights removed. {words}",
        caption="A point is a column. A method that looks at the text spares the inputs that the text drives hard: "
        f"then the points fall to the right. {words}",
    )


def rank_correlation(left: Numbers, right: Numbers) -> float | None:
    """Spearman's: the correlation of the ranks, equal values sharing their mean rank; None where one of them
    is constant.
    """
    ranks = [_ranks(np.asarray(values)) for values in (left, right)]
    spreads = [rank.std() for rank in ranks]
    if min(spreads) == 0:
        return None
    return float(
        ((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / (spreads[0] * spreads[1])
    )


def _ranks(values: Numbers) -> Numbers:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: Numbers = (last - (counts - 1) / 2)[which]
    return ranks


def _points(norms: Numbers, shares: Numbers) -> go.Scatter:
    return go.Scatter(
        x=norms,
        y=100 * shares,
        customdata=np.arange(len(norms)),
        mode="markers",
        marker={"color": palette.GREEN, "size": 7, "opacity": 0.65},
        hovertemplate="column %{customdata}<br>norm %{x:.3g}<br>%{y:.1f} % removed<extra></extra>",
    )
