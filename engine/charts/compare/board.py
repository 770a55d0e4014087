"""The leaderboard as a drawing: the perplexity of every way to prune at one budget, the best first, from the
dense model's on.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.analysis.comparison.leaderboard import Place
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.compare.style import Scale, top, wants_logarithm

LINE = 28  # pixels a row
ROOM = 0.55
"""Share of the axis, beyond the largest perplexity, for the words beside the marks."""


def board_table(places: Sequence[Place]) -> pd.DataFrame:
    """One row a family; `behind` is its perplexity / the best one's, less 1."""
    columns = [
        "place",
        "family",
        "perplexity",
        "deviation",
        "seeds",
        "ratio",
        "behind",
        "achieved",
        "seconds",
        "own",
        "run",
    ]
    rows = [
        (
            one.place,
            one.point.family,
            one.point.perplexity,
            one.point.deviation,
            len(one.point.runs),
            one.point.ratio,
            one.behind - 1,
            one.achieved,
            one.seconds,
            one.point.own,
            one.point.runs[0].key,
        )
        for one in places
    ]
    return pd.DataFrame(rows, columns=columns).astype({"deviation": float})


def board_chart(places: Sequence[Place], budget: str) -> Chart:
    """A line from the dense perplexity to that of each way; `budget` in words. The axis is logarithmic where
    the perplexities are far apart.
    """
    table = board_table(places)
    names = [f"{one.place}. {one.point.family}{' (own)' if one.point.own else ''}" for one in places]
    dense = places[0].point.runs[0].dense if places else 1.0
    worst = top((one.point.perplexity for one in places), dense)
    logarithmic = wants_logarithm([dense, worst])
    figure = canvas(go.Figure(), 70 + LINE * max(3, len(places)))
    for one, name in zip(places, names, strict=True):
        figure.add_traces(_row(one, name, dense))
    figure.update_layout(showlegend=False)
    figure.add_vline(
        x=dense,
        line={"color": palette.GREY, "dash": "dash", "width": 1.5},
        annotation={"text": "dense", "yanchor": "bottom"},
    )
    far = max(worst - dense, 0.01 * dense)
    ends = (
        (0.95 * dense, worst * (worst / dense) ** ROOM)
        if logarithmic
        else (dense - 0.03 * far, worst + ROOM * far)
    )
    figure.update_xaxes(title={"text": "Perplexity"}, **Scale(logarithmic, *ends).axis)
    figure.update_yaxes(showgrid=False, type="category", categoryorder="array", categoryarray=names[::-1])
    best = (
        f"Best: {places[0].point.family} with {numbers.perplexity(places[0].point.perplexity)}."
        if places
        else "Nobody is there yet."
    )
    return Chart(
        title=f"At {budget}, the best first{', logarithmic' if logarithmic else ''}",
        figure=figure,
        table=table,
        alt=f"Ranking of {len(places)} ways to prune by their perplexity at {budget}. {best}",
        caption=f"Pruned perplexity from the dense model's on, less is better; beside it how far behind the best. {_achieved(places)}",
    )


def _achieved(places: Sequence[Place]) -> str:
    """How equal the budgets are: groups are rounded down, and allocations that search stay near the target."""
    found = [one.achieved for one in places]
    if not found:
        return ""
    low, high = numbers.percent(min(found), 2), numbers.percent(max(found), 2)
    return f"Sparsity achieved: {low}{'' if low == high else f' to {high}'}."


def _row(one: Place, name: str, dense: float) -> list[go.Scatter]:
    point, first = one.point, one.place == 1
    colour = palette.GREEN if first else palette.BLUE
    marker = {"symbol": "star" if first else "circle", "size": 14 if first else 10, "color": colour}
    behind = "the best" if first else f"+ {numbers.percent(one.behind - 1)}"
    words = f"  {numbers.perplexity(point.perplexity)}, {numbers.ratio(point.ratio)} of dense, {behind}"
    error = {
        "type": "data",
        "array": [point.deviation or 0.0],
        "visible": point.deviation is not None,
        "thickness": 1.5,
    }
    return [
        go.Scatter(
            x=[dense, point.perplexity],
            y=[name] * 2,
            mode="lines",
            line={"color": colour, "width": 2},
            hoverinfo="skip",
        ),
        go.Scatter(
            x=[point.perplexity],
            y=[name],
            error_x=error,
            mode="markers+text",
            marker=marker,
            text=[words],
            textposition="middle right",
            cliponaxis=False,
            hovertemplate=f"{name}<br>perplexity %{{x:.3f}}<br>pruning took {numbers.seconds(one.seconds)}<extra></extra>",
        ),
    ]
