"""What both models expected in one token's place: the likeliest tokens of either, side by side, with the divergence between the two predictions."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.numbers import percent
from engine.evaluation.tokens import Token

LINE = 34  # pixels a token
MOST = 12


def guess_bars(token: Token) -> Chart:
    """The likeliest tokens of both models, the dense one's order first."""
    dense, pruned = dict(token.dense_guesses), dict(token.pruned_guesses)
    names = list(dict.fromkeys([*dense, *pruned]))
    table = pd.DataFrame(
        [(name, dense.get(name), pruned.get(name), name == token.text) for name in names], columns=["token", "dense", "pruned", "in the text"]
    )
    table = table.astype({"dense": float, "pruned": float})
    figure = canvas(go.Figure(), 70 + LINE * max(3, min(MOST, len(names))), legend_lines=1)
    labels = [f"{_shown(name)}{' ◂' if name == token.text else ''}" for name in names[:MOST]]
    for column, colour, pattern in (("dense", palette.BLUE, ""), ("pruned", palette.VERMILLION, "/")):
        values = (100 * table[column])[:MOST]
        marker = {"color": colour, "pattern": {"shape": pattern, "fillmode": "replace", "solidity": 0.5}, "cornerradius": 2}
        words = "%{y}<br>" + column + " %{x:.2f} %<extra></extra>"
        figure.add_trace(go.Bar(y=labels, x=values, orientation="h", name=column, marker=marker, hovertemplate=words))
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(title={"text": "Probability, %"}, showgrid=True, gridcolor=palette.GRID, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    apart = f"{token.divergence:.2f} nats" if token.divergence is not None else "not known"
    return Chart(
        title=f"What could stand in the place of “{_shown(token.text)}”",
        figure=figure,
        table=table,
        alt=f"Bar chart of the likeliest next tokens of both models. Divergence {apart}. {_firsts(token)}",
        caption=f"Divergence KL(dense ‖ pruned): {apart}. {_firsts(token)} Only each model's ten likeliest are drawn; ◂ is what the text has.",
    )


def _firsts(token: Token) -> str:
    if not token.dense_guesses or not token.pruned_guesses:
        return ""
    (first, share), (second, other) = token.dense_guesses[0], token.pruned_guesses[0]
    if first == second:
        return f"Both expect “{_shown(first)}” most ({percent(share, 0)} and {percent(other, 0)})."
    return f"Dense expects “{_shown(first)}” ({percent(share, 0)}), pruned “{_shown(second)}” ({percent(other, 0)})."


def _shown(text: str) -> str:
    """A token as a label: a space that begins it is no part of the word, other blanks are made visible."""
    return text.strip() or {" ": "space", "\n": "line break", "": "part of a character"}.get(text, repr(text))
