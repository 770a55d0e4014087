"""The leaderboard as a chart: the perplexity of every pruner at one sparsity, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log10

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.analysis.comparison.leaderboard import Entry
from engine.analysis.comparison.points import dense_perplexity
from engine.analysis.explanations import curves
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal
from engine.charts.compare.perplexity_axis import Scale, top, wants_logarithm
from engine.charts.figure import FigureBuilder

LINE = 28  # pixels per row
LABEL_SPACE = 0.55
"""Share of the axis, beyond the largest perplexity, for the labels of the marks."""


def leaderboard_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row per pruner; `behind` is its perplexity / the best one's - 1."""
    columns = [
        "place",
        "family",
        "perplexity",
        "deviation",
        "seeds",
        "noise",
        "alike",
        "ratio",
        "behind",
        "achieved",
        "seconds",
        "own",
        "run",
    ]
    rows = [
        (
            entry.place,
            entry.point.family,
            entry.point.perplexity,
            entry.point.deviation,
            len(entry.point.runs),
            entry.point.noise,
            ", ".join(entry.alike),
            entry.point.ratio,
            entry.behind - 1,
            entry.achieved,
            entry.seconds,
            entry.point.own,
            entry.point.runs[0].key,
        )
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=columns).astype({"deviation": float, "noise": float})


def leaderboard_chart(entries: Sequence[Entry], budget: str) -> Chart:
    """Return a line from the dense perplexity to that of each pruner.

    The axis is logarithmic if the perplexities are far apart.

    Args:
        budget: the sparsity or pattern in words.
    """
    names = [
        f"{one.place}. {literal(one.point.family)}{' (own)' if one.point.own else ''}" for one in entries
    ]
    dense = dense_perplexity(entry.point for entry in entries) or 1.0
    scale = _scale(entries, dense)
    figure = canvas(FigureBuilder(), 70 + LINE * max(3, len(entries)))  # 70: axis and its title
    for entry, name in zip(entries, names, strict=True):
        figure.add_traces(_row(entry, name, dense))
    figure.update_layout(showlegend=False, margin={"t": 24})  # room for the label above the dense line
    figure.add_vline(
        x=dense,
        line={"color": palette.GREY, "dash": "dash", "width": 1.5},
        # On a logarithmic axis Plotly takes a shape's value, but an annotation's logarithm.
        annotation={"text": "dense", "yanchor": "bottom", "x": log10(dense) if scale.logarithmic else dense},
    )
    figure.update_xaxes(title={"text": "Perplexity"}, **scale.axis)
    # a category axis starts at the bottom, the best entry belongs to the top
    figure.update_yaxes(showgrid=False, type="category", categoryorder="array", categoryarray=names[::-1])
    best = (
        f"Best: {entries[0].point.family} with {numbers.perplexity(entries[0].point.perplexity)}."
        if entries
        else "No runs yet."
    )
    return Chart(
        title=f"Leaderboard at {budget}{', logarithmic' if scale.logarithmic else ''}",
        figure=figure.build(),
        table=leaderboard_table(entries),
        alt=f"Ranking of {len(entries)} pruners by their perplexity at {budget}. {best}",
        caption="Pruned perplexity, starting at the dense model's; lower is better. Percentages: distance to "
        f"the best. {_achieved_words(entries)} {alike_words(entries)}".strip(),
        explain=partial(curves.leaderboard, entries),
    )


def alike_words(entries: Sequence[Entry]) -> str:
    """Return a sentence on the pruners that cannot be distinguished, or on what is known about noise."""
    pairs = [
        f"{entry.point.family} and {other}"
        for place, entry in enumerate(entries)
        for other in entry.alike
        if other in [later.point.family for later in entries[place + 1 :]]
    ]
    if pairs:
        return (
            "Closer to each other than the same run with its calibration windows in another order, so they "
            f"cannot be distinguished: {'; '.join(pairs)}."
        )
    if any(entry.point.noise is not None for entry in entries):
        return "Bars without seeds: the same run with its calibration windows in another order."
    return ""


def _scale(entries: Sequence[Entry], dense: float) -> Scale:
    worst = top((entry.point.perplexity for entry in entries), dense)
    if wants_logarithm([dense, worst]):
        # The exponent adds the same share to a logarithmic axis as the factor does to a linear one.
        return Scale(True, 0.95 * dense, worst * (worst / dense) ** LABEL_SPACE)
    extent = max(worst - dense, 0.01 * dense)  # not 0 if nothing is worse than dense
    return Scale(False, dense - 0.03 * extent, worst + LABEL_SPACE * extent)


def _achieved_words(entries: Sequence[Entry]) -> str:
    """Return the range of sparsities: groups are rounded down, and searches only come near the target."""
    achieved = [entry.achieved for entry in entries]
    if not achieved:
        return ""
    low, high = numbers.percent(min(achieved), 2), numbers.percent(max(achieved), 2)
    return f"Sparsity achieved: {low}{'' if low == high else f' to {high}'}."


def _row(entry: Entry, name: str, dense: float) -> list[go.Scatter]:
    # The best differs in symbol and size as well as in colour.
    point, first = entry.point, entry.place == 1
    colour = palette.GREEN if first else palette.BLUE
    behind = "the best" if first else f"+ {numbers.percent(entry.behind - 1)}"
    label = f"  {numbers.perplexity(point.perplexity)}, {numbers.ratio(point.ratio)} of dense, {behind}"
    line = go.Scatter(
        x=[dense, point.perplexity],
        y=[name] * 2,
        mode="lines",
        line={"color": colour, "width": 2},
        hoverinfo="skip",
    )
    mark = go.Scatter(
        x=[point.perplexity],
        y=[name],
        error_x={
            "type": "data",
            "array": [point.bar[1]],
            "arrayminus": [point.bar[0]],
            "visible": point.deviation is not None or point.noise is not None,
            "thickness": 1.5,
        },
        mode="markers+text",
        marker={"symbol": "star" if first else "circle", "size": 14 if first else 10, "color": colour},
        text=[label],
        textposition="middle right",
        cliponaxis=False,  # labels may extend beyond the plot
        hovertemplate=f"{name}<br>perplexity %{{x:.3f}}<br>pruning took {numbers.seconds(entry.seconds)}"
        "<extra></extra>",
    )
    return [line, mark]
