"""What both models expected in one token's place: the ten likeliest of either with the probabilities of both, and the divergence between the two.

A bar that is not there is a probability too small to draw, never one that is not known.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas
from engine.charts.generate.marked import shown
from engine.charts.numbers import percent
from engine.evaluation.passage import Guess, Token

LINE, REST = 25, 60  # pixels a token, and around them
HERE = "◂"


def guess_bars(token: Token) -> Chart:
    """The likeliest tokens of both models, the dense model's first."""
    table = _table(token)
    figure = canvas(go.Figure(), REST + LEGEND_LINE + LINE * max(3, len(table)), legend_lines=1)
    for column, colour, pattern in (("dense", palette.BLUE, ""), ("pruned", palette.VERMILLION, "/")):
        marker = {"color": colour, "pattern": {"shape": pattern, "fillmode": "replace", "solidity": 0.5}, "cornerradius": 2}
        words = "%{customdata}<br>" + column + " %{x:.3~g} %<extra></extra>"
        figure.add_trace(
            go.Bar(
                y=list(range(len(table))),
                x=100 * table[column],
                orientation="h",
                name=column,
                marker=marker,
                customdata=table["token"],
                hovertemplate=words,
            )
        )
    labels = [f"{shown(guess)}{f' {HERE}' if guess.id == token.id else ''}" for guess in token.guesses]
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_xaxes(title={"text": "Probability, %"}, showgrid=True, gridcolor=palette.GRID, rangemode="tozero")
    figure.update_yaxes(range=[len(table) - 0.5, -0.5], tickmode="array", tickvals=list(range(len(table))), ticktext=labels, showgrid=False)
    apart = f"{token.divergence:.2f} nats" if token.divergence is not None else "not known"
    return Chart(
        title=f"What could stand in the place of “{shown(token)}” · divergence {apart}",
        figure=figure,
        table=table,
        alt=f"Paired bars of the likeliest tokens of both models in the place of “{shown(token)}”. Divergence {apart}. {_firsts(token)}",
        caption=f"{_firsts(token)} The ten likeliest of either model, in the dense model's order; {HERE} is what the text has. "
        f"Divergence: KL(dense ‖ pruned) over the whole vocabulary.",
    )


def _table(token: Token) -> pd.DataFrame:
    """One row a guess; ranks are of the ten likeliest, empty beyond."""
    ranks = {which: {guess.id: rank for rank, guess in enumerate(token.expected(which), start=1)} for which in ("dense", "pruned")}
    rows = [
        (guess.text, guess.dense, guess.pruned, ranks["dense"].get(guess.id), ranks["pruned"].get(guess.id), guess.id == token.id)
        for guess in token.guesses
    ]
    table = pd.DataFrame(rows, columns=["token", "dense", "pruned", "dense rank", "pruned rank", "in the text"])
    return table.astype({"dense": float, "pruned": float, "dense rank": "Int64", "pruned rank": "Int64"})


def _firsts(token: Token) -> str:
    """What each model expects most."""
    if not token.guesses:
        return ""
    dense, pruned = token.expected("dense")[0], token.expected("pruned")[0]
    if dense.id == pruned.id:
        return f"Both expect {_with(dense, dense.dense)[:-1]}, {percent(dense.pruned, 0)}) most."
    return f"Dense expects {_with(dense, dense.dense)}, pruned {_with(pruned, pruned.pruned)}."


def _with(guess: Guess, probability: float) -> str:
    return f"“{shown(guess)}” ({percent(probability, 0)})"
