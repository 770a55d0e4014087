"""Along a text: the loss that pruning added to each token, and how far the two models' expectations were apart there."""

from __future__ import annotations

import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas, panels
from engine.charts.generate.marked import shown, summary, token_table
from engine.evaluation.passage import Reading

HEIGHT = 330
MOST_WORDS = 45
"""Tokens up to which their words stand beneath the axis."""


def added_losses(reading: Reading, chosen: int | None = None) -> Chart:
    """A bar a token: up is worse than the dense model, down is better; beneath, the divergence. A chosen one is hatched."""
    table = token_table(reading)
    figure = canvas(panels((0.62, 0.38), ("Loss added, nats", "Divergence, nats"), spacing=0.13), HEIGHT)
    colours = [palette.VERMILLION if value > 0 else palette.BLUE for value in table["loss added"]]
    for row, column, colour in ((1, "loss added", colours), (2, "divergence", palette.GREY)):
        bars = go.Bar(
            x=table["place"],
            y=table[column],
            marker={"color": colour, "pattern": _hatched(table["place"], chosen), "line": {"width": 0}},
            customdata=table["token"],
            hovertemplate=f"token %{{x}}: %{{customdata}}<br>{column} %{{y:.2f}} nats<extra></extra>",
        )
        figure.add_trace(bars, row=row, col=1)
    figure.update_layout(bargap=0.15, showlegend=False, margin={"t": 24})
    figure.update_yaxes(nticks=5)
    figure.update_yaxes(zeroline=True, zerolinecolor=palette.GREY, row=1, col=1)
    _name_places(figure, reading, [int(place) for place in table["place"]])
    return Chart(
        title="Where the text suffers",
        figure=figure,
        table=table,
        alt=f"Bar chart of the loss that pruning added, token by token, and of the divergence. {summary(reading)}",
        caption=f"−ln p of each token under the pruned model minus that under the dense one: up is worse. {summary(reading)}",
    )


def _hatched(places: list[int], chosen: int | None) -> dict[str, object]:
    return {"shape": ["/" if place == chosen else "" for place in places], "fillmode": "replace", "solidity": 0.5}


def _name_places(figure: go.Figure, reading: Reading, places: list[int]) -> None:
    """The tokens themselves beneath a short text, their places beneath a long one."""
    if len(places) <= MOST_WORDS:
        names = [shown(reading.tokens[place]) for place in places]
        figure.update_xaxes(tickmode="array", tickvals=places, ticktext=names, tickangle=-60, tickfont={"size": 10}, row=2, col=1)
    else:
        figure.update_xaxes(title={"text": "Place in the text"}, row=2, col=1)
