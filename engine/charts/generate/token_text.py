"""A text whose tokens are coloured by the loss that pruning added: HTML, because a chart cannot wrap lines.

Vermillion with a solid underline is worse, blue with a dotted one is better, and the number says the same
without colour. Backgrounds are transparent enough for the page's text in both themes. Tokens without a loss
(the prompt, the start token) have no colour.
"""

from __future__ import annotations

from html import escape

from engine.charts import palette
from engine.evaluation.text_types import Reading, Token
from engine.numbers import signed

FULL = 3.0
"""Nats of added loss with the deepest colour: a twentieth of the probability is left."""
DEEPEST = 0.5
"""Opacity of the deepest colour; text on it keeps a contrast of 4.5."""
NOTABLE = 0.7
"""Nats from which a token is underlined: its probability is halved, or doubled."""
STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Nats that the legend shows."""

STYLE = """<style>
.marked { line-height: 1.75; overflow-wrap: anywhere; }
.marked.numbered { line-height: 1.2; }
.marked .token { border-radius: 0.25rem; white-space: pre-wrap; border-bottom: 2px solid transparent;
  padding: 0.06rem 0; }
.marked.numbered .token { display: inline-flex; flex-direction: column; align-items: center;
  padding: 0.1rem 0.12rem; margin: 0.1rem 0.05rem; white-space: pre; }
.marked .token.worse { border-bottom-color: WORSE; }
.marked .token.better { border-bottom: 2px dotted BETTER; }
.marked .token.chosen { outline: 2px solid currentColor; outline-offset: 1px; }
.marked .token.given { opacity: 0.65; }
.marked .token i { font-size: 0.75em; opacity: 0.8; }
.marked .token small { font-size: 0.68rem; opacity: 0.85; font-variant-numeric: tabular-nums; }
.marked .parting { font-weight: 700; padding: 0 0.2rem; }
.marked.large { font-size: 1.3rem; min-height: 11.5rem; }
.scale { display: flex; flex-wrap: wrap; gap: 0.3rem; align-items: center; font-size: 0.82rem; }
.scale span { padding: 0 0.45rem; border-radius: 0.25rem; font-variant-numeric: tabular-nums;
  border-bottom: 2px solid transparent; }
.scale span.worse { border-bottom-color: WORSE; }
.scale span.better { border-bottom: 2px dotted BETTER; }
</style>""".replace("WORSE", palette.VERMILLION).replace("BETTER", palette.BLUE)
PARTING = '<span class="parting" title="Here it differs from the dense text">▸</span>'


def token_text(
    reading: Reading,
    *,
    chosen: int | None = None,
    diverges_at: int | None = None,
    numbers: bool = True,
    coloured: bool = True,
    large: bool = False,
) -> str:
    """Return the HTML of a text.

    Args:
        chosen: position of a token that is framed.
        diverges_at: position of the first token that differs from another text, before which there is a mark.
        numbers: whether each token's number is below it; the hover text has it in any case.
        coloured: whether losses are shown at all.
        large: whether the text is to be read from a distance.
    """
    pieces = []
    for position, token in enumerate(reading.tokens):
        if position == 0 and not token.text:  # the start token, which is not part of the text
            continue
        # without a continuation the whole text is scored
        given = position < reading.given < len(reading.tokens)
        span = _token(
            token,
            given=given,
            framed=position == chosen,
            numbers=numbers,
            coloured=coloured and not given,
        )
        pieces.append(f"{PARTING if position == diverges_at else ''}{span}")
    classes = " ".join(
        ["marked", *(["numbered"] if numbers and coloured else []), *(["large"] if large else [])]
    )
    end = PARTING if diverges_at == len(reading.tokens) else ""  # one text ends where the other goes on
    return f'{STYLE}<div class="{classes}">{"".join(pieces)}{end}</div>'


def legend() -> str:
    """Return the HTML of the legend: the colours of some numbers, and what they mean."""
    steps = "".join(
        f'<span class="{_kind(value)}" style="background:{background(value)}">{signed(value)}</span>'
        for value in STEPS
    )
    words = "nats of loss that pruning added; +0.7 halves a token's probability"
    return f'{STYLE}<div class="scale">better {steps} worse · {words}</div>'


def background(gained: float) -> str:
    """Return the background colour of a token with this added loss in nats."""
    strength = DEEPEST * min(1.0, abs(gained) / FULL)
    colour = palette.VERMILLION if gained > 0 else palette.BLUE
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))  # from #RRGGBB
    return f"rgba({red}, {green}, {blue}, {strength:.2f})"  # translucent, so the page's theme shows through


def _token(token: Token, *, given: bool, framed: bool, numbers: bool, coloured: bool) -> str:
    text = token.text.replace("\n", "⏎" if coloured else "")
    body = escape(text) if token.text else f"<i>{escape(token.name)}</i>"  # tokens may contain < and &
    # The breaks come after the span: within an inline-flex box they would not break the text's line.
    breaks = "<br>" * token.text.count("\n")
    classes = ["token", *(["chosen"] if framed else []), *(["given"] if given else [])]
    gained = token.gained
    if gained is None or not coloured:
        # an empty number keeps the token on the line of those that have one
        blank = "<small>&nbsp;</small>" if numbers and coloured else ""
        return f'<span class="{" ".join(classes)}">{body}{blank}</span>{breaks}'
    number = f"<small>{signed(gained)}</small>" if numbers else ""
    title = (
        f"{token.name!r}: loss {token.dense:.2f} dense, {token.pruned:.2f} pruned ({signed(gained, 2)}); "
        f"divergence {token.divergence:.2f} nats"
    )
    names = " ".join(part for part in (*classes, _kind(gained)) if part)
    style = f'style="background:{background(gained)}" title="{escape(title, quote=True)}"'
    return f'<span class="{names}" {style}>{body}{number}</span>{breaks}'


def _kind(gained: float) -> str:
    return "" if abs(gained) < NOTABLE else "worse" if gained > 0 else "better"
