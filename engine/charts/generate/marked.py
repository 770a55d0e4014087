"""A text whose tokens are coloured by the loss that pruning added, the number beneath or under the pointer:
HTML, for a chart cannot break lines.

Vermillion with a full line is worse, blue with a dotted line is better, and the number says the same without
colour. Colours are thin enough for the page's own letters in both themes. What a token has no loss for (what
was given, what nobody predicted) stands in plain letters.
"""

from __future__ import annotations

from html import escape

import pandas as pd

from engine.charts import palette
from engine.evaluation.text_types import Guess, Reading, Token
from engine.events import Which
from engine.numbers import percent

FULL = 3.0
"""Nats of added loss at which the colour is as deep as it gets: a twentieth of the probability is left."""
DEEPEST = 0.5
NOTABLE = 0.7
"""Nats from which a token is underlined: its probability is halved, or doubled."""
STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)

STYLE = """<style>
.marked { line-height: 1.75; overflow-wrap: anywhere; }
.marked.numbered { line-height: 1.2; }
.marked .token { border-radius: 0.25rem; white-space: pre-wrap; border-bottom: 2px solid transparent; padding: 0.06rem 0; }
.marked.numbered .token { display: inline-flex; flex-direction: column; align-items: center; padding: 0.1rem 0.12rem; margin: 0.1rem 0.05rem;
  white-space: pre; }
.marked .token.worse { border-bottom-color: WORSE; }
.marked .token.better { border-bottom: 2px dotted BETTER; }
.marked .token.chosen { outline: 2px solid currentColor; outline-offset: 1px; }
.marked .token.given { opacity: 0.65; }
.marked .token i { font-size: 0.75em; opacity: 0.8; }
.marked .token small { font-size: 0.68rem; opacity: 0.85; font-variant-numeric: tabular-nums; }
.marked .parting { font-weight: 700; padding: 0 0.2rem; }
.marked.large { font-size: 1.3rem; min-height: 11.5rem; }
.scale { display: flex; flex-wrap: wrap; gap: 0.3rem; align-items: center; font-size: 0.82rem; }
.scale span { padding: 0 0.45rem; border-radius: 0.25rem; font-variant-numeric: tabular-nums; border-bottom: 2px solid transparent; }
.scale span.worse { border-bottom-color: WORSE; }
.scale span.better { border-bottom: 2px dotted BETTER; }
</style>""".replace("WORSE", palette.VERMILLION).replace("BETTER", palette.BLUE)
PARTING = '<span class="parting" title="Here it parts from the dense text">▸</span>'


def marked_text(
    reading: Reading,
    *,
    chosen: int | None = None,
    parted: int | None = None,
    numbers: bool = True,
    coloured: bool = True,
    large: bool = False,
) -> str:
    """The HTML of a text.

    Args:
        chosen: the place of a token that is framed.
        parted: the place before which a mark says that another text goes on otherwise.
        numbers: whether each token's number stands beneath it; it is under the pointer anyway.
        coloured: whether losses are shown at all.
        large: whether it is to be read from afar.
    """
    pieces = []
    for place, token in enumerate(reading.tokens):
        if place == 0 and not token.text:  # the start token, which nobody wrote
            continue
        mark = PARTING if place == parted else ""
        given = place < reading.given < len(reading.tokens)
        pieces.append(
            mark
            + _token(
                token, given=given, framed=place == chosen, numbers=numbers, coloured=coloured and not given
            )
        )
    classes = " ".join(
        ["marked", *(["numbered"] if numbers and coloured else []), *(["large"] if large else [])]
    )
    end = PARTING if parted == len(reading.tokens) else ""
    return f'{STYLE}<div class="{classes}">{"".join(pieces)}{end}</div>'


def scale() -> str:
    """The HTML of the legend: the colours of some numbers, and what they mean."""
    steps = "".join(
        f'<span class="{_kind(value)}" style="background:{background(value)}">{_signed(value)}</span>'
        for value in STEPS
    )
    return f'{STYLE}<div class="scale">better {steps} worse · nats of loss that pruning added; +0.7 halves a token\'s probability</div>'


def summary(reading: Reading) -> str:
    """What pruning did to a text, in a sentence."""
    gained = [token.gained for token in reading.tokens[reading.first :] if token.gained is not None]
    if not gained:
        return "A text of which no token was compared."
    worst = reading.tokens[reading.worst]
    mean = sum(gained) / len(gained)
    did = (
        f"Pruning added {mean:.2f} nats a token"
        if mean >= 0
        else f"Pruning took {-mean:.2f} nats a token off"
    )
    return f"{did} on average, over {len(gained)} tokens; most on “{shown(worst)}”: {_signed(worst.gained or 0.0, 2)}."


def token_table(reading: Reading) -> pd.DataFrame:
    """One row a token that counts, with its place in the text."""
    columns = ["place", "token", "loss added", "dense loss", "pruned loss", "divergence"]
    rows = [
        (place, token.text or token.name, token.gained, token.dense, token.pruned, token.divergence)
        for place, token in enumerate(reading.tokens)
        if place >= reading.first and token.gained is not None
    ]
    return pd.DataFrame(rows, columns=columns)


def worst_tokens(reading: Reading, count: int = 10) -> pd.DataFrame:
    """The tokens that lost most, in their surroundings, with what each model would rather have had."""
    tokens = reading.tokens
    places = [place for place in range(reading.first, len(tokens)) if tokens[place].gained is not None]
    ranked = sorted(places, key=lambda place: -(tokens[place].gained or 0.0))
    rows = []
    for place in ranked[:count]:
        token, before = tokens[place], "".join(one.text for one in tokens[max(0, place - 6) : place])
        context = f"{'…' if place > 6 else ''}{before}⟦{token.text or token.name}⟧".replace("\n", "⏎")
        rows.append((place, context, token.gained, _guess(token, "dense"), _guess(token, "pruned")))
    return pd.DataFrame(
        rows,
        columns=[
            "place",
            "token, in its place",
            "loss added",
            "the dense model expected",
            "the pruned model expected",
        ],
    )


def shown(token: Token | Guess) -> str:
    """A token or a guess as a label: a blank that begins it is no part of the word, blanks alone are made
    visible.
    """
    text = token.name if isinstance(token, Token) else token.text
    return text.strip() or {" ": "space", "\n": "line break", "": "nothing"}.get(text, repr(text))


def background(gained: float) -> str:
    """The colour behind a token."""
    strength = DEEPEST * min(1.0, abs(gained) / FULL)
    red, green, blue = (
        int((palette.VERMILLION if gained > 0 else palette.BLUE)[place : place + 2], 16)
        for place in (1, 3, 5)
    )
    return f"rgba({red}, {green}, {blue}, {strength:.2f})"


def _token(token: Token, *, given: bool, framed: bool, numbers: bool, coloured: bool) -> str:
    body = (
        escape(token.text.replace("\n", "⏎" if coloured else ""))
        if token.text
        else f"<i>{escape(token.name)}</i>"
    )
    breaks = "<br>" * token.text.count("\n")
    classes = ["token", *(["chosen"] if framed else []), *(["given"] if given else [])]
    gained = token.gained
    if gained is None or not coloured:
        blank = "<small>&nbsp;</small>" if numbers and coloured else ""
        return f'<span class="{" ".join(classes)}">{body}{blank}</span>{breaks}'
    number = f"<small>{_signed(gained)}</small>" if numbers else ""
    title = f"{token.name!r}: loss {token.dense:.2f} dense, {token.pruned:.2f} pruned ({_signed(gained, 2)}); divergence {token.divergence:.2f} nats"
    names = " ".join(part for part in (*classes, _kind(gained)) if part)
    return f'<span class="{names}" style="background:{background(gained)}" title="{escape(title, quote=True)}">{body}{number}</span>{breaks}'


def _kind(gained: float) -> str:
    return "" if abs(gained) < NOTABLE else "worse" if gained > 0 else "better"


def _signed(value: float, digits: int = 1) -> str:
    number = f"{value:+.{digits}f}".replace("-", "−")
    return number if number.strip("+−0.") else number[1:]  # a nothing has no sign


def _guess(token: Token, which: Which) -> str:
    """What a model expected most, and how much."""
    first = token.expected(which)[0]
    return f"{shown(first)} ({percent(getattr(first, which), 0)})"
