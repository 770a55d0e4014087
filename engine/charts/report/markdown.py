"""Markdown of the app, with its formulas and without its icons, as HTML that needs no other file.

HTML in the text is shown as text, pictures are left out, and formulas become MathML, which browsers draw
themselves.
"""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

ICON = re.compile(r":material/\w+:\s*")
COLOURED = re.compile(r":(?:red|orange|yellow|green|blue|violet|gray|grey|primary)\[((?:[^\]\\]|\\.)*)\]")
FORMULA = re.compile(r"(?<!\\)(\$\$?)(.+?)(?<!\\)\1", re.DOTALL)
HELD = "\ue000{}\ue001"
"""Stands for a formula while the text around it is converted; the characters mean nothing elsewhere."""


def to_html(text: str) -> Markup:
    """Return Markdown as HTML."""
    formulas: list[Markup] = []

    def hold(found: re.Match[str]) -> str:
        formulas.append(formula(found[2], display=found[1] == "$$"))
        return HELD.format(len(formulas) - 1)

    plain = COLOURED.sub(r"\1", ICON.sub("", text.translate({0xE000: None, 0xE001: None})))
    html = _converter().render(FORMULA.sub(hold, plain))
    for place, markup in enumerate(formulas):
        html = html.replace(HELD.format(place), markup)
    return Markup(html)  # of the converter, which escapes the text, and of `formula`


def formula(latex: str, *, display: bool = True) -> Markup:
    """Return a formula as MathML, or as its source if it cannot be converted.

    Args:
        display: whether it stands on a line of its own.
    """
    try:
        from latex2mathml.converter import convert  # slow to import, and only lessons have formulas

        # The converter does not know \arg, which is an ordinary operator.
        source = re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", latex)
        return Markup(convert(source, display="block" if display else "inline"))
    except Exception:  # whatever the converter raises, the source can be read
        return Markup("<code>{}</code>").format(latex.strip())


@cache
def _converter() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough").disable("image")
