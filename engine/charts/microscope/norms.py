"""Do strong inputs keep more of their weights? Each column's activation norm against what the column lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.microscope.profiles import profile
from engine.inspection.facts import Counts, Numbers

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
    table = pd.DataFrame({"column": np.arange(len(norms)), "activation_norm": norms, "removed": column_removed, "sparsity": shares})
    positive = norms[norms > 0]
    wide = bool(positive.size) and float(positive.max()) > WIDE * float(np.median(positive))
    figure = canvas(go.Figure(_points(norms, shares)), height=HEIGHT)
    figure.update_xaxes(title={"text": "Activation norm of the input"}, type="log" if wide else "linear")
    figure.update_yaxes(title={"text": "Removed, %"}, range=[-2, 102])
    found = rank_correlation(norms, shares)
    words = "All columns lose the same." if found is None else f"Rank correlation {found:+.2f}.".replace("-", "−")
    return Chart(
        title="Strong inputs against what they lost",
        figure=figure,
        table=table,
        alt=f"Scatter chart of {len(norms):,} columns: activation norm against the share of weights removed. {words}",
        caption="A point is a column. A method that looks at the text spares the inputs that the text drives hard: "
        f"then the points fall to the right. {words}",
    )


def rank_correlation(left: Numbers, right: Numbers) -> float | None:
    """Spearman's: the correlation of the ranks, equal values sharing their mean rank; None where one of them is constant."""
    ranks = [_ranks(np.asarray(values)) for values in (left, right)]
    spreads = [rank.std() for rank in ranks]
    if min(spreads) == 0:
        return None
    return float(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / (spreads[0] * spreads[1]))


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
