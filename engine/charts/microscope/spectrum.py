"""Singular values of a weight, dense against pruned: the strengths of the directions that the linear
transmits.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.ranks import stable_rank
from engine.analysis.microscope.types import Numbers, Spectrum, Values
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder

HEIGHT = 300  # pixels


def singular_values(spectrum: Spectrum) -> Chart:
    """Return the singular values of both weights as lines, the largest first."""
    ranks = np.arange(1, len(spectrum.dense) + 1)
    lines = [
        _line(ranks, spectrum.dense, "dense", palette.BLUE, "solid"),
        _line(ranks, spectrum.pruned, "pruned", palette.VERMILLION, "dash"),
    ]
    figure = canvas(FigureBuilder(lines), height=HEIGHT, legend_lines=1)
    figure.update_xaxes(title={"text": "Index, by size"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "Singular value"}, rangemode="tozero")
    dense, pruned = stable_rank(spectrum.dense), stable_rank(spectrum.pruned)
    return Chart(
        title="Singular values, dense and pruned",
        figure=figure.build(),
        table=pd.DataFrame({"index": ranks, "dense": spectrum.dense, "pruned": spectrum.pruned}),
        alt=f"Two falling lines of {len(ranks):,} singular values. Largest {float(spectrum.dense[0]):.3g} "
        f"dense and {float(spectrum.pruned[0]):.3g} pruned; stable rank {dense:.1f} and {pruned:.1f}.",
        caption="How strongly the linear transmits each of its directions. Stable rank ‖W‖²_F / σ₁², about "
        f"the number of directions that matter: {dense:.1f} dense, {pruned:.1f} pruned.",
        explain=partial(microscope.singular_values, spectrum),
    )


def _line(ranks: Values, values: Numbers, name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=ranks,
        y=values,
        name=name,
        mode="lines",
        line={"color": colour, "width": 2.5, "dash": dash},
        hovertemplate=f"{name}, index %{{x}}<br>%{{y:.4g}}<extra></extra>",
    )
