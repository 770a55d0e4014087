"""Small pieces of HTML. Every text is escaped here and nowhere else: whoever composes pieces passes texts or
pieces, never half of one.

A piece is an `Html`, so that a plain text cannot slip into a page unescaped.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import pandas as pd


class Html(str):
    """Markup that may stand in a page as it is."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str | None) -> Html:
    """An element; texts in it are escaped, pieces are not. `class_` is `class`, `aria_label` is `aria-label`;
    None leaves an attribute away.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(content: Iterable[str]) -> Html:
    """Pieces and texts behind one another."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in content))


def pairs_table(rows: Iterable[tuple[str, str]]) -> Html:
    """A table of two columns whose first names its line."""
    lines = [element("tr", element("th", what, scope="row"), element("td", value)) for what, value in rows]
    return element("div", element("table", element("tbody", *lines)), class_="wide")


def data_table(table: pd.DataFrame, caption: str) -> Html:
    """A table with a head; numbers to six digits, at the right."""
    kinds = ["number" if pd.api.types.is_numeric_dtype(kind) else None for kind in table.dtypes]
    head = element(
        "tr",
        *(
            element("th", str(name), scope="col", class_=kind)
            for name, kind in zip(table.columns, kinds, strict=True)
        ),
    )
    lines = [_line(row, kinds) for row in table.itertuples(index=False)]
    inner = [element("caption", caption), element("thead", head), element("tbody", *lines)]
    return element(
        "div", element("table", *inner), class_="scroll", tabindex="0", role="region", aria_label=caption
    )


def _line(values: Iterable[Any], kinds: Iterable[str | None]) -> Html:
    return element(
        "tr", *(element("td", _text(value), class_=kind) for value, kind in zip(values, kinds, strict=True))
    )


def folded(summary: str, *content: str, printed: bool = False) -> Html:
    """What is shown when someone opens it, and on paper only where it is to be."""
    return element("details", element("summary", summary), *content, class_="printed" if printed else None)


def code(text: str, label: str) -> Html:
    """A text in letters of one width that scrolls when it is too wide."""
    return element("pre", element("code", text), tabindex="0", role="region", aria_label=label)


def section(name: str, title: str, *content: str) -> Html:
    """A part of the page under its own heading."""
    return element("section", element("h2", title, id=name), *content, aria_labelledby=name)


def data_block(name: str, data: Any) -> Html:
    """JSON for the page's script. No `<` stays in it, so it cannot end its own element."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')


def links(targets: Sequence[tuple[str, str]]) -> Html:
    """Links within the page: (name, title)."""
    items = [element("li", element("a", title, href=f"#{name}")) for name, title in targets]
    return element("nav", element("ul", *items), aria_label="Parts of this report")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if isfinite(value) else "not finite"
    return str(value)
