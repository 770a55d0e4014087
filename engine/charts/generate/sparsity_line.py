"""The chart of the sparsity slider: perplexity over the sparsities of one pruner, with the current one
marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.analysis.explanations.one_curve import one_curve
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder

HEIGHT = 250  # pixels
LOGARITHMIC = 10.0
"""Ratio of the largest to the smallest perplexity from which the axis is logarithmic."""


def sparsity_line(
    sparsities: Sequence[float],
    perplexities: Sequence[float],
    current: int,
    agreeing: Sequence[int | None] = (),
) -> Chart:
    """Return perplexity against sparsity; the first entry is the dense model.

    Args:
        current: index of the marked entry.
        agreeing: how many tokens of each text agree with the dense model's before the first difference; None
            where unknown.
    """
    table = pd.DataFrame({"sparsity": sparsities, "perplexity": perplexities})
    if agreeing:
        table["tokens as dense"] = pd.array(list(agreeing), dtype="Int64")
    x = [100 * sparsity for sparsity in sparsities]
    labels = [numbers.perplexity(value) for value in perplexities]
    line = go.Scatter(
        x=x,
        y=perplexities,
        mode="lines+markers",
        line={"color": palette.BLUE, "width": 2.5},
        marker={"size": 7},
        customdata=labels,
        hovertemplate="%{x:.0f} %<br>perplexity %{customdata}<extra></extra>",
    )
    ring = {"symbol": "circle-open", "size": 18, "color": palette.VERMILLION, "line": {"width": 3}}
    mark = go.Scatter(
        x=[x[current]], y=[perplexities[current]], mode="markers", marker=ring, hoverinfo="skip"
    )
    figure = canvas(FigureBuilder([line, mark]), HEIGHT)
    figure.add_hline(
        y=perplexities[0],
        line={"color": palette.GREY, "width": 1.5, "dash": "dash"},
        layer="below",  # shapes are drawn above the traces otherwise
    )
    logarithmic = _wants_logarithm(perplexities)
    figure.update_layout(showlegend=False)
    figure.update_xaxes(
        title={"text": "Sparsity, %"},
        range=[-3, max(100 * max(sparsities), 90) + 4],  # percent; the marks at both ends are not cut
        dtick=10,
    )
    figure.update_yaxes(title={"text": "Perplexity"})
    if logarithmic:
        figure.update_yaxes(type="log", dtick=1, exponentformat="power")  # one tick per power of ten
    else:
        figure.update_yaxes(rangemode="tozero", nticks=6)
    place = f"{numbers.percent(sparsities[current], 0)}: perplexity {labels[current]}"
    return Chart(
        title="Perplexity against sparsity",
        figure=figure.build(),
        table=table,
        alt=f"Line chart of the perplexity by sparsity. The ring is at {place}; dense is {labels[0]}.",
        caption=f"Perplexity on the evaluation text{', logarithmic' if logarithmic else ''}. "
        f"Ring: this text, at {place}. Dashed: dense.",
        explain=partial(one_curve, sparsities, perplexities, perplexities[0], sparsities[current]),
    )


def _wants_logarithm(perplexities: Sequence[float]) -> bool:
    """Return whether a linear axis would flatten all but the last points."""
    # overflowed perplexities are infinite; also drops NaN
    known = [value for value in perplexities if 0 < value < float("inf")]
    return bool(known) and max(known) / min(known) >= LOGARITHMIC
