"""The chart of the lessons on a real model: the loss of quality on it and on the bundled model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.charts import palette
from engine.charts.chart import Chart, canvas, name_rows
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.shared import shared
from engine.lessons.two_models import OnBoth, pairs_in_order

LINE, EDGE = 30, 90
"""Pixels: of a row, and of the legend and the axis."""
BUNDLED, REAL = "bundled model", "real model"


@shared
def ratios_on_both(found: Sequence[OnBoth], amount: str) -> Chart:
    """Plot pruned / dense perplexity on both models, the best on the real one on top.

    The axis is logarithmic, so these are marks: bars would have to begin at zero.

    Args:
        amount: the sparsity or pattern in words.
    """
    marks = (
        (BUNDLED, [one.bundled for one in found], "circle-open", palette.VERMILLION),
        (REAL, [one.real for one in found], "diamond", palette.BLUE),
    )
    figure = canvas(FigureBuilder(), LINE * len(found) + EDGE, legend_lines=1)
    for name, values, symbol, colour in marks:
        figure.add_trace(
            go.Scatter(
                x=values,
                y=list(range(len(found))),
                name=name,
                mode="markers",
                marker={"symbol": symbol, "color": colour, "size": 11, "line": {"width": 2}},
                text=[one.name for one in found],
                hovertemplate=f"%{{text}}, {name}: × %{{x:.2f}}<extra></extra>",
            )
        )
    name_rows(figure, [one.name for one in found])
    figure.update_xaxes(
        title={"text": "Pruned perplexity / dense perplexity"},
        type="log",
        showgrid=True,
        gridcolor=palette.GRID,
        nticks=6,
    )
    same, pairs = pairs_in_order(found)
    bundled, real = min(found, key=lambda one: one.bundled).name, min(found, key=lambda one: one.real).name
    best = f"{bundled} on both" if bundled == real else f"{bundled} on the {BUNDLED}, {real} on the {REAL}"
    summary = f"Best: {best}. {same} of {pairs} pairs are in the same order on both."
    quoted = ", ".join(
        f"{one.name} {numbers.ratio(one.bundled)} and {numbers.ratio(one.real)}" for one in found
    )
    return Chart(
        title=f"Two models at {amount}: how much pruning costs",
        figure=figure.build(),
        table=pd.DataFrame(
            [(one.name, one.bundled, one.real) for one in found], columns=["pruner", BUNDLED, REAL]
        ),
        alt=f"Dot chart of pruned / dense perplexity on the bundled and the real model: {quoted}. {summary}",
        caption=f"{summary} Each model was measured on its own text, so compare the orders and the sizes of "
        "the gaps.",
    )
