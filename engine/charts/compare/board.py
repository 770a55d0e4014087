"""The leaderboard as bars: perplexity of every way to prune at one budget, the best first."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import numbers, palette
from engine.charts.chart import Chart, canvas
from engine.comparison.leaderboard import Place

LINE = 30  # pixels a bar


def board_table(places: Sequence[Place]) -> pd.DataFrame:
    """One row a family."""
    columns = ["place", "family", "perplexity", "deviation", "seeds", "ratio", "behind_best", "achieved", "seconds", "own", "run"]
    rows = [
        (
            one.place,
            one.point.family,
            one.point.perplexity,
            one.point.deviation,
            len(one.point.runs),
            one.point.ratio,
            one.behind,
            one.achieved,
            one.seconds,
            one.point.own,
            one.point.runs[0].key,
        )
        for one in places
    ]
    return pd.DataFrame(rows, columns=columns).astype({"deviation": float})


def board_bars(places: Sequence[Place], budget: str) -> Chart:
    """The bars; `budget` in words."""
    table = board_table(places)
    ordered = table.iloc[::-1]
    words = [
        f"{numbers.perplexity(value)} · {numbers.ratio(behind)} of the best"
        for value, behind in zip(ordered.perplexity, ordered.behind_best, strict=True)
    ]
    colours = [palette.GREEN if place == 1 else palette.BLUE for place in ordered.place]
    bars = go.Bar(
        y=[f"{place}. {family}{' (own)' if own else ''}" for place, family, own in zip(ordered.place, ordered.family, ordered.own, strict=True)],
        x=ordered.perplexity,
        orientation="h",
        marker={"color": colours, "cornerradius": 3},
        text=words,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}<br>perplexity %{x:.3f}<extra></extra>",
    )
    figure = canvas(go.Figure(bars), 60 + LINE * max(3, len(places)))
    most = table.perplexity.max() if len(table) else 1.0
    figure.update_xaxes(title={"text": "Perplexity"}, range=[0, 1.35 * most], showgrid=True, gridcolor=palette.GRID)
    figure.update_yaxes(showgrid=False)
    best = f"Best: {places[0].point.family} with {numbers.perplexity(places[0].point.perplexity)}." if places else "Nobody is there yet."
    return Chart(
        title=f"At {budget}, the best first",
        figure=figure,
        table=table,
        alt=f"Bar chart of the perplexity of {len(places)} ways to prune at {budget}. {best}",
        caption="Pruned perplexity, less is better; all under the protocol above. Several seeds: their mean.",
    )
