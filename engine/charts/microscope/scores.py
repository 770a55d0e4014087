"""How the method weighed the weights of a linear: those that stay, those that go, and the cut between them.

The groups of an N:M pattern made visible: a few of them framed, and how many weights all of them keep.
"""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.microscope.types import Groups, Numbers, Scores, Values
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.microscope.tiles import boxes, close_up
from engine.numbers import power_of_ten

TALL = 30  # pixels of a row


def group_boxes(groups: Groups) -> Chart:
    """The sample's entries, a frame around each group."""
    x, y = np.arange(len(groups.order), dtype=float), np.arange(*groups.rows, dtype=float)
    top = float(np.abs(groups.weight).max()) or 1.0
    kept = groups.keep.astype(np.float32)
    figure = go.Figure([*close_up(groups.weight, kept, x, y, top), _pointer(groups, x)])
    canvas(figure, height=90 + TALL * len(y))
    boxes(figure, x, y, groups.m)
    figure.update_xaxes(
        title={"text": "Column: input"},
        tickvals=x,
        ticktext=[str(column) for column in groups.order],
        range=[-0.6, len(x) - 0.4],
    )
    figure.update_yaxes(
        title={"text": "Row: output"}, range=[y[-1] + 0.6, y[0] - 0.6], dtick=1, showgrid=False
    )
    table = pd.DataFrame({"kept": range(groups.m + 1), "groups": groups.kept})
    return Chart(
        title=f"Groups of {groups.m}: at most {groups.n} stay in each",
        figure=figure,
        table=table,
        alt=f"The first groups of rows {groups.rows[0]} to {groups.rows[1] - 1}, framed, with removed weights crossed out. {count_words(groups)}",
        caption=f"{count_words(groups)} {_permutation_words(groups)}".strip(),
    )


def count_words(groups: Groups) -> str:
    """How many groups keep how many, and that none breaks the pattern, counted over the whole linear."""
    parts = [f"{number:,} keep {kept}" for kept, number in enumerate(groups.kept) if number]
    broken = (
        f"{groups.violations:,} keep more than {groups.n}."
        if groups.violations
        else f"None keeps more than {groups.n}."
    )
    return f"Of {sum(groups.kept):,} groups {', '.join(parts)} of {groups.m}. {broken}"


def _permutation_words(groups: Groups) -> str:
    if not groups.permuted:
        return ""
    return "A permutation chose which columns share a group, so neighbours here need not be neighbours in the weight."


def _pointer(groups: Groups, x: Numbers) -> go.Heatmap:
    words = np.where(groups.keep, "kept", "removed")
    return go.Heatmap(
        x=x,
        y=np.arange(*groups.rows),
        z=groups.weight,
        customdata=np.dstack([np.broadcast_to(groups.order, groups.weight.shape), words]),
        colorscale=[[0, "rgba(0, 0, 0, 0)"], [1, "rgba(0, 0, 0, 0)"]],
        showscale=False,
        hovertemplate="row %{y}, column %{customdata[0]}<br>%{z:.4f}, %{customdata[1]}<extra></extra>",
    )


HEIGHT = 300
GROUPS = {"layer": "the whole linear", "row": "its row", "block": "its 128 columns"}


def score_histogram(scores: Scores, method: str) -> Chart:
    """Two histograms over one logarithmic axis; `method` is the score's title."""
    table = pd.DataFrame(
        {"from": scores.edges[:-1], "to": scores.edges[1:], "kept": scores.kept, "removed": scores.removed}
    )
    places = np.log10(scores.edges)
    figure = go.Figure([_bars(places, scores.removed, "removed"), _bars(places, scores.kept, "kept")])
    _mark_cut(figure, scores)
    canvas(figure, height=HEIGHT, legend_lines=1)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(
        title={"text": f"{method} score"}, range=[places[0], places[-1]], **_ticks(places[0], places[-1])
    )
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
    figure.add_vline(
        x=middle,
        line={"color": palette.GREY, "width": 2.5, "dash": "dash"},
        annotation={"text": words, "yanchor": "bottom", "y": 1},
    )


def _ticks(low: float, high: float) -> dict[str, list[object]]:
    """Powers of ten, with 2 and 5 between them where the axis is short."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
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
        " Each is the score at the moment of decision, on weights that the update had changed by then."
        if scores.running
        else ""
    )
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
