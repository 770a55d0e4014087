"""How a method scored the weights of a linear: the kept ones, the removed ones, and the cut between them."""

from __future__ import annotations

from functools import partial
from math import ceil, floor, log10
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.types import Scores, Values
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.numbers import power_of_ten

HEIGHT = 300  # pixels
GROUPS = {"layer": "the whole linear", "row": "its row", "block": "its 128 columns"}
"""What a weight competes within, by the name of its comparison group."""


def score_histogram(scores: Scores, method: str) -> Chart:
    """Return two histograms over one axis, logarithmic unless scores are negative; `method` is the score's
    title.
    """
    # A linear axis of logarithms, labelled by hand: bins are equally wide in decades.
    places = np.log10(scores.edges) if scores.logarithmic else scores.edges
    figure = FigureBuilder(
        [
            _bars(scores, places, counts, name)
            for name, counts in (("removed", scores.removed), ("kept", scores.kept))
        ]
    )
    _mark_cut(figure, scores)
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(barmode="overlay", bargap=0)  # translucent: where both overlap, the cut is not sharp
    ticks = _ticks(places[0], places[-1]) if scores.logarithmic else {}
    figure.update_xaxes(title={"text": f"{method} score"}, range=[places[0], places[-1]], **ticks)
    figure.update_yaxes(title={"text": "Number of weights"}, rangemode="tozero")
    return Chart(
        title=f"Distribution of the {method} scores",
        figure=figure.build(),
        table=pd.DataFrame(
            {
                "from": scores.edges[:-1],
                "to": scores.edges[1:],
                "kept": scores.kept,
                "removed": scores.removed,
            }
        ),
        alt=f"Histogram of {method} scores: {int(scores.kept.sum()):,} weights kept, "
        f"{int(scores.removed.sum()):,} removed. {_cut_words(scores)}",
        caption=f"{_cut_words(scores)}{_note_words(scores)}",
        explain=partial(microscope.score_histogram, scores),
    )


def _bars(scores: Scores, places: Values, counts: Values, name: str) -> go.Bar:
    removed = name == "removed"
    middles = (places[:-1] + places[1:]) / 2
    return go.Bar(
        x=middles,
        y=counts,
        width=np.diff(places),
        name=name,
        marker={
            "color": palette.VERMILLION if removed else palette.BLUE,
            "pattern": {"shape": "/" if removed else "", "size": 5, "solidity": 0.35},
            "line": {"width": 0},
        },
        opacity=0.75,
        customdata=10**middles if scores.logarithmic else middles,
        hovertemplate=f"score about %{{customdata:.3g}}<br>%{{y:,}} {name}<extra></extra>",
    )


def _mark_cut(figure: FigureBuilder, scores: Scores) -> None:
    """Draw the (median) cut as a line, and the middle 90 % of several cuts as a grey band."""
    if scores.cuts is None:
        return
    low, high = float(scores.edges[0]), float(scores.edges[-1])
    inside = [min(max(cut, low), high) for cut in scores.cuts]  # 0 has no logarithm
    # minimum, 5 %, median, 95 %, maximum
    _, few, middle, many, _ = map(log10, inside) if scores.logarithmic else inside
    if scores.groups > 1:
        figure.add_vrect(x0=few, x1=many, fillcolor=palette.GREY, opacity=0.22, line_width=0, layer="below")
    words = "cut" if scores.groups == 1 else "median cut"
    left, right = map(log10, (low, high)) if scores.logarithmic else (low, high)
    inwards = "right" if middle > (left + right) / 2 else "left"  # the chart ends where the scores do
    figure.add_vline(
        x=middle,
        line={"color": palette.GREY, "width": 2.5, "dash": "dash"},
        annotation={"text": words, "yanchor": "bottom", "y": 1, "xanchor": inwards},
    )


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Return ticks at powers of ten, with 2 and 5 between them on a short axis; `low` and `high` are logs."""
    steps = (1, 2, 5) if high - low < 3 else (1,)  # decades
    values = [(step, power) for power in range(floor(low), ceil(high) + 1) for step in steps]
    inside = [(step, power) for step, power in values if low <= power + log10(step) <= high]
    return {
        "tickvals": [power + log10(step) for step, power in inside],
        "ticktext": [
            power_of_ten(power) if step == 1 and not -3 < power < 4 else f"{step * 10.0**power:g}"
            for step, power in inside
        ],
    }


def _cut_words(scores: Scores) -> str:
    competes = GROUPS.get(scores.group, f"its group of {scores.group.rpartition(':')[2]}")
    when = (
        " Each score is that at the moment of decision, on weights that the update had already changed."
        if scores.running
        else ""
    )
    if scores.cuts is None:
        return f"A weight competes within {competes}. None was removed.{when}"
    _, few, middle, many, _ = scores.cuts
    if scores.groups == 1:
        return f"A weight competes within {competes}: one cut, at {middle:.3g}.{when}"
    return (
        f"A weight competes within {competes}: {scores.groups:,} cuts, the middle 90 % between {few:.3g} and "
        f"{many:.3g} (grey).{when}"
    )


def _note_words(scores: Scores) -> str:
    """Return what else a reader must know: the refinement's changes, zero scores and ties."""
    moved = f" The refinement changed the decision for {scores.moved:,} weights." if scores.moved else ""
    zeros = f" {scores.zeros:,} scores are exactly 0; they are in the first bin." if scores.zeros else ""
    ties = f" {scores.ties.words}" if scores.ties.words else ""
    return moved + zeros + ties
