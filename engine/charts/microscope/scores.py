"""How the method weighed the weights of a linear: those that stay, those that go, and the cut between them."""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.numbers import power_of_ten
from engine.inspection.facts import Scores, Values

HEIGHT = 300
GROUPS = {"layer": "the whole linear", "row": "its row", "block": "its 128 columns"}


def score_histogram(scores: Scores, method: str) -> Chart:
    """Two histograms over one logarithmic axis; `method` is the score's title."""
    table = pd.DataFrame({"from": scores.edges[:-1], "to": scores.edges[1:], "kept": scores.kept, "removed": scores.removed})
    places = np.log10(scores.edges)
    figure = go.Figure([_bars(places, scores.removed, "removed"), _bars(places, scores.kept, "kept")])
    _mark_cut(figure, scores)
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title={"text": f"{method} score"}, range=[places[0], places[-1]], **_ticks(places[0], places[-1]))
    figure.update_yaxes(title={"text": "Weights"}, rangemode="tozero")
    return Chart(
        title=f"{method} scores, and where they part",
        figure=figure,
        table=table,
        alt=f"Histogram of {method} scores: {int(scores.kept.sum()):,} weights stay, {int(scores.removed.sum()):,} go. {_cut_words(scores)}",
        caption=" ".join(filter(None, (_cut_words(scores), _moved_words(scores), _zero_words(scores)))),
    )


def _bars(places: Values, counts: Values, name: str) -> go.Bar:
    removed = name == "removed"
    return go.Bar(
        x=(places[:-1] + places[1:]) / 2,
        y=counts,
        width=np.diff(places),
        name=name,
        marker={
            "color": palette.VERMILLION if removed else palette.BLUE,
            "pattern": {"shape": "/" if removed else "", "size": 5, "solidity": 0.35},
            "line": {"width": 0},
        },
        opacity=0.75,
        customdata=10 ** ((places[:-1] + places[1:]) / 2),
        hovertemplate=f"score about %{{customdata:.3g}}<br>%{{y:,}} {name}<extra></extra>",
    )


def _mark_cut(figure: go.Figure, scores: Scores) -> None:
    if scores.cuts is None:
        return
    low, high = float(scores.edges[0]), float(scores.edges[-1])
    _, few, middle, many, _ = (log10(min(max(cut, low), high)) for cut in scores.cuts)
    if scores.groups > 1:
        figure.add_vrect(x0=few, x1=many, fillcolor=palette.GREY, opacity=0.22, line_width=0, layer="below")
    words = "cut" if scores.groups == 1 else "median cut"
    figure.add_vline(x=middle, line={"color": palette.GREY, "width": 2.5, "dash": "dash"}, annotation={"text": words, "yanchor": "bottom", "y": 1})


def _ticks(low: float, high: float) -> dict[str, list[object]]:
    """Powers of ten, with 2 and 5 between them where the axis is short."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    values = [(step, power) for power in range(floor(low), ceil(high) + 1) for step in steps]
    inside = [(step, power) for step, power in values if low <= power + log10(step) <= high]
    return {
        "tickvals": [power + log10(step) for step, power in inside],
        "ticktext": [power_of_ten(power) if step == 1 and not -3 < power < 4 else f"{step * 10.0**power:g}" for step, power in inside],
    }


def _cut_words(scores: Scores) -> str:
    competes = GROUPS.get(scores.group, f"its group of {scores.group.rpartition(':')[2]}")
    when = " Each is the score at the moment of decision, on weights that the update had changed by then." if scores.running else ""
    if scores.cuts is None:
        return f"A weight competes within {competes}. None was removed.{when}"
    _, few, middle, many, _ = scores.cuts
    if scores.groups == 1:
        return f"A weight competes within {competes}: one cut, at {middle:.3g}.{when}"
    return f"A weight competes within {competes}: {scores.groups:,} cuts, the middle nine tenths between {few:.3g} and {many:.3g} (grey).{when}"


def _moved_words(scores: Scores) -> str:
    if not scores.moved:
        return ""
    return f"Of {scores.moved:,} weights the refinement changed what the scores had decided."


def _zero_words(scores: Scores) -> str:
    return f"{scores.zeros:,} scores are exactly 0; they are in the first bin." if scores.zeros else ""
