"""Singular values of the weight, dense against pruned: the strengths of the directions that the linear passes on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.inspection.facts import Numbers, Spectrum, Values

HEIGHT = 300


def singular_values(spectrum: Spectrum) -> Chart:
    """Two lines, the largest value first."""
    places = np.arange(1, len(spectrum.dense) + 1)
    table = pd.DataFrame({"place": places, "dense": spectrum.dense, "pruned": spectrum.pruned})
    lines = [_line(places, spectrum.dense, "dense", palette.BLUE, "solid"), _line(places, spectrum.pruned, "pruned", palette.VERMILLION, "dash")]
    figure = canvas(go.Figure(lines), height=HEIGHT, legend_lines=1)
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
