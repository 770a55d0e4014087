"""The loss that pruning added to each token of a text: a summary, tables, and a chart along the text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import texts
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal, panels
from engine.charts.figure import FigureBuilder
from engine.charts.generate.predictions import guess_words, label
from engine.evaluation.text_types import Reading
from engine.numbers import signed

HEIGHT = 330  # pixels
MOST_LABELS = 45
"""Tokens up to which the axis has the tokens themselves as labels."""
CONTEXT = 6
"""Tokens before a token that the table of the worst ones shows."""


def summary(reading: Reading) -> str:
    """Return a sentence on how pruning changed the loss on a text."""
    # a prompt is not scored if it has a continuation
    gained = [token.gained for token in reading.tokens[reading.first :] if token.gained is not None]
    if not gained:
        return "No token of this text was compared."
    worst = reading.tokens[reading.worst]
    mean = sum(gained) / len(gained)
    change = (
        f"Pruning added {mean:.2f} nats per token"
        if mean >= 0
        else f"Pruning reduced the loss by {-mean:.2f} nats per token"
    )
    return (
        f"{change} on average, over {len(gained)} tokens; "
        f"most on “{label(worst)}”: {signed(worst.gained or 0.0, 2)}."
    )


def token_table(reading: Reading) -> pd.DataFrame:
    """Return one row per token with a loss, with its position in the text; losses in nats."""
    columns = ["position", "token", "loss added", "dense loss", "pruned loss", "divergence"]
    rows = [
        # special tokens, and parts of a character, have no text
        (position, token.text or token.name, token.gained, token.dense, token.pruned, token.divergence)
        for position, token in enumerate(reading.tokens)
        if position >= reading.first and token.gained is not None
    ]
    return pd.DataFrame(rows, columns=columns)


def worst_tokens(reading: Reading, count: int = 10) -> pd.DataFrame:
    """Return the tokens with the largest added loss, in context, with what each model predicted instead."""
    tokens = reading.tokens
    positions = [place for place in range(reading.first, len(tokens)) if tokens[place].gained is not None]
    ranked = sorted(positions, key=lambda position: -(tokens[position].gained or 0.0))
    rows = []
    for position in ranked[:count]:
        token = tokens[position]
        before = "".join(one.text for one in tokens[max(0, position - CONTEXT) : position])
        cut = "…" if position > CONTEXT else ""
        context = f"{cut}{before}⟦{token.text or token.name}⟧".replace("\n", "⏎")  # one line per table cell
        dense, pruned = token.expected("dense")[0], token.expected("pruned")[0]
        rows.append(
            (
                position,
                context,
                token.gained,
                guess_words(dense, dense.dense),
                guess_words(pruned, pruned.pruned),
            )
        )
    columns = ["position", "token in context", "loss added", "dense prediction", "pruned prediction"]
    return pd.DataFrame(rows, columns=columns)


def added_losses(reading: Reading, chosen: int | None = None) -> Chart:
    """Return one bar per token: up is worse than the dense model, down is better; below, the divergence.

    Args:
        chosen: position of a token whose bars are hatched.
    """
    table = token_table(reading)
    figure = canvas(panels((0.62, 0.38), ("Loss added, nats", "Divergence, nats"), spacing=0.13), HEIGHT)
    colours = [palette.VERMILLION if value > 0 else palette.BLUE for value in table["loss added"]]
    hatching = {
        "shape": ["/" if position == chosen else "" for position in table["position"]],
        "fillmode": "replace",
        "solidity": 0.5,
    }
    for row, column, colour in ((1, "loss added", colours), (2, "divergence", palette.GREY)):
        bars = go.Bar(
            x=table["position"],
            y=table[column],
            marker={"color": colour, "pattern": hatching, "line": {"width": 0}},
            customdata=table["token"].map(literal),
            hovertemplate=f"token %{{x}}: %{{customdata}}<br>{column} %{{y:.2f}} nats<extra></extra>",
        )
        figure.add_trace(bars, row=row, col=1)
    figure.update_layout(bargap=0.15, showlegend=False, margin={"t": 24})
    figure.update_yaxes(nticks=5)
    # only the loss can be negative, a KL divergence cannot
    figure.update_yaxes(zeroline=True, zerolinecolor=palette.GREY, row=1, col=1)
    _label_positions(figure, reading, [int(position) for position in table["position"]])
    return Chart(
        title="Loss added per token",
        figure=figure.build(),
        table=table,
        alt="Bar chart of the loss that pruning added, token by token, and of the divergence. "
        f"{summary(reading)}",
        caption="−ln p of each token under the pruned model minus that under the dense one: up is worse. "
        f"{summary(reading)}",
        explain=partial(texts.added_losses, reading),
    )


def _label_positions(figure: FigureBuilder, reading: Reading, positions: Sequence[int]) -> None:
    """Label the axis with the tokens of a short text, or with the positions in a long one."""
    if len(positions) > MOST_LABELS:  # rotated labels of size 10 would overlap
        figure.update_xaxes(title={"text": "Position in the text"}, row=2, col=1)
        return
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(positions),
        ticktext=[literal(label(reading.tokens[position])) for position in positions],
        tickangle=-60,
        tickfont={"size": 10},
        row=2,
        col=1,
    )
