"""What both models predict at one position: their ten most likely tokens with both probabilities.

A missing bar is a probability too small to draw, never an unknown one.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import texts
from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas, literal, name_rows
from engine.charts.figure import FigureBuilder
from engine.evaluation.text_types import Guess, Token
from engine.numbers import percent

LINE, REST = 25, 60  # pixels per token, and around them
HERE = "◂"


def prediction_bars(token: Token) -> Chart:
    """Return paired bars of the most likely tokens of both models, in the dense model's order."""
    table = _table(token)
    figure = canvas(FigureBuilder(), REST + LEGEND_LINE + LINE * max(3, len(table)), legend_lines=1)
    # Hatched, so that the pair differs without colour.
    for column, colour, pattern in (("dense", palette.BLUE, ""), ("pruned", palette.VERMILLION, "/")):
        figure.add_trace(
            go.Bar(
                y=list(range(len(table))),
                x=100 * table[column],
                orientation="h",
                name=column,
                marker={
                    "color": colour,
                    "pattern": {"shape": pattern, "fillmode": "replace", "solidity": 0.5},
                    "cornerradius": 2,
                },
                customdata=table["token"].map(literal),
                # y is only a row number
                hovertemplate="%{customdata}<br>" + column + " %{x:.3~g} %<extra></extra>",
            )
        )
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_xaxes(
        title={"text": "Probability, %"}, showgrid=True, gridcolor=palette.GRID, rangemode="tozero"
    )
    # rows are numbered, not named: two tokens may have the same label
    name_rows(
        figure,
        [f"{literal(label(guess))}{f' {HERE}' if guess.id == token.id else ''}" for guess in token.guesses],
    )
    divergence = f"{token.divergence:.2f} nats" if token.divergence is not None else "unknown"
    return Chart(
        title=f"Predictions for “{label(token)}” · divergence {divergence}",
        figure=figure.build(),
        table=table,
        alt=f"Paired bars of the most likely tokens of both models in place of “{label(token)}”. "
        f"Divergence {divergence}. {_top_words(token)}",
        caption=f"{_top_words(token)} The ten most likely tokens of either model, in the dense model's "
        f"order; {HERE} is the token of the text. Divergence: KL(dense ‖ pruned) over the whole vocabulary.",
        explain=partial(texts.predictions, token),
    )


def label(token: Token | Guess) -> str:
    """Return a token as a label: without the leading space of a word, and with white space named."""
    text = token.name if isinstance(token, Token) else token.text
    return text.strip() or {" ": "space", "\n": "line break", "": "nothing"}.get(text, repr(text))


def guess_words(guess: Guess, probability: float) -> str:
    """Return `cat (50 %)`."""
    return f"{label(guess)} ({percent(probability, 0)})"


def _table(token: Token) -> pd.DataFrame:
    """Return one row per guess; ranks are among the ten most likely, and empty beyond."""
    ranks = {
        which: {guess.id: rank for rank, guess in enumerate(token.expected(which), start=1)}
        for which in ("dense", "pruned")
    }
    rows = [
        (
            guess.text,
            guess.dense,
            guess.pruned,
            ranks["dense"].get(guess.id),  # missing beyond the ten likeliest
            ranks["pruned"].get(guess.id),
            guess.id == token.id,
        )
        for guess in token.guesses
    ]
    columns = ["token", "dense", "pruned", "dense rank", "pruned rank", "in the text"]
    # nullable, unlike int64
    types = {"dense": float, "pruned": float, "dense rank": "Int64", "pruned rank": "Int64"}
    return pd.DataFrame(rows, columns=columns).astype(types)


def _top_words(token: Token) -> str:
    """Return what each model predicts as most likely."""
    if not token.guesses:
        return ""
    dense, pruned = token.expected("dense")[0], token.expected("pruned")[0]
    if dense.id == pruned.id:
        return f"Both predict “{label(dense)}” ({percent(dense.dense, 0)}, {percent(dense.pruned, 0)})."
    return (
        f"Dense predicts “{label(dense)}” ({percent(dense.dense, 0)}), "
        f"pruned “{label(pruned)}” ({percent(pruned.pruned, 0)})."
    )
