"""What both models expected in one token's place: the ten likeliest of either with the probabilities of both,
and the divergence between the two.

A bar that is not there is a probability too small to draw, never one that is not known.

Along a text: the loss that pruning added to each token, and how far the two models' expectations were apart
there.

Where a walk from dense to nothing stands: perplexity over the sparsities of one pruner, the current one
marked.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas, panels
from engine.charts.generate.marked import shown, summary, token_table
from engine.evaluation.text_types import Guess, Reading, Token
from engine.numbers import percent

WALK_HEIGHT = 250
LOGARITHMIC = 10.0
"""From this ratio of the largest to the smallest perplexity on, the axis is logarithmic."""


def walk_line(
    sparsities: Sequence[float],
    perplexities: Sequence[float],
    current: int,
    agreeing: Sequence[int | None] = (),
) -> Chart:
    """The line; the first place is the dense model.

    Args:
        agreeing: how many tokens of each text are the dense model's before the two part, where that is known.
    """
    table = pd.DataFrame({"sparsity": sparsities, "perplexity": perplexities})
    if agreeing:
        table["tokens as dense"] = pd.array(list(agreeing), dtype="Int64")
    figure = canvas(go.Figure(), WALK_HEIGHT)
    x = [100 * sparsity for sparsity in sparsities]
    line = {"color": palette.BLUE, "width": 2.5}
    words = "%{x:.0f} %<br>perplexity %{customdata}<extra></extra>"
    readable = [numbers.perplexity(value) for value in perplexities]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=perplexities,
            mode="lines+markers",
            line=line,
            marker={"size": 7},
            customdata=readable,
            hovertemplate=words,
        )
    )
    here = {"symbol": "circle-open", "size": 18, "color": palette.VERMILLION, "line": {"width": 3}}
    figure.add_trace(
        go.Scatter(x=[x[current]], y=[perplexities[current]], mode="markers", marker=here, hoverinfo="skip")
    )
    figure.add_hline(
        y=perplexities[0], line={"color": palette.GREY, "width": 1.5, "dash": "dash"}, layer="below"
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(
        title={"text": "Sparsity, %"}, range=[-3, max(100 * max(sparsities), 90) + 4], dtick=10
    )
    figure.update_yaxes(title={"text": "Perplexity"}, **_axis(perplexities))
    place = f"{numbers.percent(sparsities[current], 0)}: perplexity {readable[current]}"
    return Chart(
        title="Where this is",
        figure=figure,
        table=table,
        alt=f"Line chart of the perplexity by sparsity. The ring is at {place}; dense is {readable[0]}.",
        caption=f"Perplexity on the evaluation text{', logarithmic' if _spans(perplexities) else ''}. The ring is here: {place}. Dashed: dense.",
    )


def _spans(perplexities: Sequence[float]) -> bool:
    """Whether a straight axis would press all but the last points flat."""
    known = [value for value in perplexities if 0 < value < float("inf")]
    return bool(known) and max(known) / min(known) >= LOGARITHMIC


def _axis(perplexities: Sequence[float]) -> dict[str, object]:
    if not _spans(perplexities):
        return {"rangemode": "tozero", "nticks": 6}
    return {"type": "log", "dtick": 1, "exponentformat": "power"}


HEIGHT = 330
MOST_WORDS = 45
"""Tokens up to which their words stand beneath the axis."""


def added_losses(reading: Reading, chosen: int | None = None) -> Chart:
    """A bar a token: up is worse than the dense model, down is better; beneath, the divergence. A chosen one
    is hatched.
    """
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
    return {
        "shape": ["/" if place == chosen else "" for place in places],
        "fillmode": "replace",
        "solidity": 0.5,
    }


def _name_places(figure: go.Figure, reading: Reading, places: list[int]) -> None:
    """The tokens themselves beneath a short text, their places beneath a long one."""
    if len(places) <= MOST_WORDS:
        names = [shown(reading.tokens[place]) for place in places]
        figure.update_xaxes(
            tickmode="array",
            tickvals=places,
            ticktext=names,
            tickangle=-60,
            tickfont={"size": 10},
            row=2,
            col=1,
        )
    else:
        figure.update_xaxes(title={"text": "Place in the text"}, row=2, col=1)


LINE, REST = 25, 60  # pixels a token, and around them
HERE = "◂"


def guess_bars(token: Token) -> Chart:
    """The likeliest tokens of both models, the dense model's first."""
    table = _table(token)
    figure = canvas(go.Figure(), REST + LEGEND_LINE + LINE * max(3, len(table)), legend_lines=1)
    for column, colour, pattern in (("dense", palette.BLUE, ""), ("pruned", palette.VERMILLION, "/")):
        marker = {
            "color": colour,
            "pattern": {"shape": pattern, "fillmode": "replace", "solidity": 0.5},
            "cornerradius": 2,
        }
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
    figure.update_xaxes(
        title={"text": "Probability, %"}, showgrid=True, gridcolor=palette.GRID, rangemode="tozero"
    )
    figure.update_yaxes(
        range=[len(table) - 0.5, -0.5],
        tickmode="array",
        tickvals=list(range(len(table))),
        ticktext=labels,
        showgrid=False,
    )
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
    ranks = {
        which: {guess.id: rank for rank, guess in enumerate(token.expected(which), start=1)}
        for which in ("dense", "pruned")
    }
    rows = [
        (
            guess.text,
            guess.dense,
            guess.pruned,
            ranks["dense"].get(guess.id),
            ranks["pruned"].get(guess.id),
            guess.id == token.id,
        )
        for guess in token.guesses
    ]
    table = pd.DataFrame(
        rows, columns=["token", "dense", "pruned", "dense rank", "pruned rank", "in the text"]
    )
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
