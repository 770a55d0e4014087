"""The loss that pruning added along a text."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.generate.marked import summary, token_table
from engine.evaluation.tokens import Token


def added_losses(tokens: Sequence[Token], chosen: int | None = None) -> Chart:
    """A bar a token: up is worse than the dense model, down is better. A chosen one is hatched."""
    table = token_table(tokens)
    colours = [palette.VERMILLION if value > 0 else palette.BLUE for value in table["loss added"]]
    shapes = ["/" if place == chosen else "" for place in table["place"]]
    bars = go.Bar(
        x=table["place"],
        y=table["loss added"],
        marker={"color": colours, "pattern": {"shape": shapes, "fillmode": "replace", "solidity": 0.5}},
        customdata=table["token"],
        hovertemplate="token %{x}: %{customdata}<br>loss added %{y:.2f} nats<extra></extra>",
    )
    figure = canvas(go.Figure(bars), 220)
    figure.update_layout(bargap=0.15)
    figure.update_xaxes(title={"text": "Token"})
    figure.update_yaxes(title={"text": "Loss added, nats"}, zeroline=True, zerolinecolor=palette.GREY)
    return Chart(
        title="Where the text suffers",
        figure=figure,
        table=table,
        alt=f"Bar chart of the loss that pruning added, token by token. {summary(tokens)}",
        caption=f"−ln p of each token under the pruned model minus that under the dense one. {summary(tokens)}",
    )
