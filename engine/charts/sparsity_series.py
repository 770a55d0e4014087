"""Perplexity against sparsity for the runs of one recipe, small: where the form stands on that curve."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from math import isfinite
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.analysis.explanations.one_curve import one_curve
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal
from engine.charts.compare.perplexity_axis import Scale, wants_logarithm
from engine.charts.figure import FigureBuilder

HEIGHT = 190  # pixels
SHORT = 30.0
"""Ratio of the largest to the smallest value up to which a logarithmic axis has ticks at 1, 2 and 5."""


@lru_cache(maxsize=64)  # drawn again with every change of the recipe form
def sparsity_series(
    sparsities: tuple[float, ...], perplexities: tuple[float, ...], dense: float, current: float, pruner: str
) -> Chart:
    """Return the curve with the dense level and a mark at the current sparsity, whether or not it has a run.

    A click on a point can be read from its x, the sparsity in percent. Callers share the figure and must not
    change it.

    Args:
        sparsities: of the runs, shares, increasing.
        perplexities: of the runs.
        current: the sparsity of the form, a share.
        pruner: its title, for the words.
    """
    labels = [numbers.perplexity(value) for value in perplexities]
    x = [round(100 * share, 6) for share in sparsities]
    here = next((place for place, share in enumerate(sparsities) if share == current), None)
    line = go.Scatter(
        x=x,
        y=list(perplexities),
        mode="lines+markers",
        line={"color": palette.BLUE, "width": 2},
        marker={
            "size": [11 if place == here else 7 for place in range(len(x))],
            "color": [palette.VERMILLION if place == here else palette.BLUE for place in range(len(x))],
            "opacity": 1,
        },
        # Streamlit keeps a selection; it must not fade the other points.
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=labels,
        hovertemplate="%{x:g} %<br>perplexity %{customdata}<extra></extra>",
    )
    figure = canvas(FigureBuilder([line]), HEIGHT)
    figure.add_hline(y=dense, line={"color": palette.GREY, "width": 1.5, "dash": "dash"}, layer="below")
    figure.add_vline(
        x=100 * current, line={"color": palette.VERMILLION, "width": 1.5, "dash": "dot"}, layer="below"
    )
    logarithmic = wants_logarithm([*perplexities, dense])
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[-3, 102], dtick=20, ticksuffix=" %")
    figure.update_yaxes(**(_logarithmic([*perplexities, dense]) if logarithmic else {"nticks": 5}))
    where = numbers.short_percent(current)
    at = f"{where}: perplexity {labels[here]}" if here is not None else f"{where}, not computed yet"
    return Chart(
        title="Perplexity against sparsity",
        figure=figure.build(),
        table=pd.DataFrame({"sparsity": list(sparsities), "perplexity": list(perplexities)}),
        alt=f"Line chart of the perplexity of {literal(pruner)} by sparsity. Marked: {at}. "
        f"Dense: {numbers.perplexity(dense)}.",
        caption=f"{pruner}{', logarithmic' if logarithmic else ''}. Red: the chosen sparsity, {where}. "
        f"Dashed: dense, {numbers.perplexity(dense)}. Click a point to go there.",
        explain=partial(one_curve, sparsities, perplexities, dense, current),
    )


def _logarithmic(values: Iterable[float]) -> dict[str, Any]:
    """Return the arguments of a logarithmic axis: on a short one, powers of ten would be one tick or none."""
    known = [value for value in values if isfinite(value)]
    ticks: dict[str, Any] = {"dtick": 1, "exponentformat": "power"}
    if max(known) < SHORT * min(known):
        # the ends are Plotly's, so beyond the values, too
        axis = Scale(logarithmic=True, low=min(known) / SHORT, high=max(known) * SHORT).axis
        ticks = {name: axis[name] for name in ("tickvals", "ticktext")}
    return {"type": "log", **ticks}
