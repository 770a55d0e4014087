"""A text whose tokens are coloured by the loss that pruning added, each with its number beneath: as HTML, for a chart cannot break lines.

Vermillion is worse, blue is better, and the number says the same without colour. Colours are thin enough for the page's own letters in both themes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd

from engine.charts import palette
from engine.charts.numbers import percent
from engine.evaluation.tokens import Token

FULL = 3.0
"""Nats of added loss at which the colour is as deep as it gets: a twentieth of the probability is left."""
DEEPEST = 0.5
VISIBLE = {" ": "·", "": "∅"}

STYLE = """<style>
.marked { line-height: 1.2; }
.marked span.token { display: inline-flex; flex-direction: column; align-items: center; padding: 0.1rem 0.12rem; margin: 0.1rem 0.05rem;
  border-radius: 0.25rem; white-space: pre; }
.marked span.token.chosen { outline: 2px solid currentColor; }
.marked span.token small { font-size: 0.68rem; opacity: 0.85; font-variant-numeric: tabular-nums; }
</style>"""


def marked_text(tokens: Sequence[Token], chosen: int | None = None) -> str:
    """The HTML of a text.

    Args:
        chosen: the index of a token that is framed.
    """
    parts = [_token(token, framed=place == chosen) for place, token in enumerate(tokens) if token.text]
    return f'{STYLE}<div class="marked" role="img" aria-label="{escape(summary(tokens), quote=True)}">{"".join(parts)}</div>'


def summary(tokens: Sequence[Token]) -> str:
    """What pruning did to a text, in a sentence."""
    gained = [(token.gained, token.text) for token in tokens if token.gained is not None]
    if not gained:
        return "A text of which no token was predicted."
    mean, (most, worst) = sum(value for value, _ in gained) / len(gained), max(gained)
    return f"Pruning added {mean:.2f} nats a token on average, most on “{worst.strip()}”: {most:.2f}."


def token_table(tokens: Sequence[Token]) -> pd.DataFrame:
    """One row a predicted token, with its place in the text."""
    columns = ["place", "token", "loss added", "dense loss", "pruned loss", "divergence"]
    rows = [
        (place, token.text, token.gained, token.dense, token.pruned, token.divergence)
        for place, token in enumerate(tokens)
        if token.gained is not None
    ]
    return pd.DataFrame(rows, columns=columns)


def worst_tokens(tokens: Sequence[Token], count: int = 10) -> pd.DataFrame:
    """The tokens that lost most, in their surroundings, with what each model would rather have had."""
    ranked = sorted((place for place, token in enumerate(tokens) if token.gained is not None), key=lambda place: -(tokens[place].gained or 0.0))
    rows = []
    for place in ranked[:count]:
        token = tokens[place]
        before = "".join(one.text for one in tokens[max(0, place - 6) : place])
        rows.append((f"…{before}⟦{token.text}⟧", token.gained, _guess(token.dense_guesses), _guess(token.pruned_guesses)))
    return pd.DataFrame(rows, columns=["token, in its place", "loss added", "the dense model expected", "the pruned model expected"])


def _guess(guesses: Sequence[tuple[str, float]]) -> str:
    return f"{guesses[0][0].strip() or guesses[0][0]!r} ({percent(guesses[0][1], 0)})" if guesses else ""


def _token(token: Token, *, framed: bool) -> str:
    breaks = "<br>" * token.text.count("\n")
    shown = escape(token.text.replace("\n", "⏎"))
    classes = "token chosen" if framed else "token"
    if token.gained is None:
        return f'<span class="{classes}">{shown}<small>&nbsp;</small></span>{breaks}'
    number = f"{token.gained:+.1f}".replace("-", "−")
    title = f"{token.text!r}: loss {token.dense:.2f} dense, {token.pruned:.2f} pruned; divergence {token.divergence:.2f} nats"
    colour = background(token.gained)
    return f'<span class="{classes}" style="background:{colour}" title="{escape(title, quote=True)}">{shown}<small>{number}</small></span>{breaks}'


def background(gained: float) -> str:
    """The colour behind a token."""
    strength = DEEPEST * min(1.0, abs(gained) / FULL)
    red, green, blue = (int((palette.VERMILLION if gained > 0 else palette.BLUE)[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {strength:.2f})"
