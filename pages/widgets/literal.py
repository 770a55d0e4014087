"""Text from elsewhere (an address, an imported run, a file's name, an error that quotes one of these), drawn
as it is written. Streamlit reads most texts as Markdown: an image in such a text would be fetched from a
stranger's server, and a link would look like one of ours.
"""

from __future__ import annotations

import re

MOST = 1_000
"""Characters that are shown; the middle of a longer text is left out."""

# Characters that begin something wherever they stand; underscores only at the edge of a word, `&` only in
# an entity, a colon only before a name that Streamlit may replace, and the rest only at the line's beginning.
SPECIAL = re.compile(r"[\\`*\[\]<$~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|^[#>+=-]|:(?=\w+[:/\[])")

ITEM = re.compile(r"([-*]|\d{1,3}[.)])\s+(.*)")
BOLD = re.compile(r"\\\*\\\*(\S|\S.*?\S)\\\*\\\*")
"""`**bold**` after it was escaped."""


def literal(text: object) -> str:
    """Return Markdown that shows a text as it is: on one line, and shortened if it is very long."""
    line = " ".join(str(text).split())
    if len(line) > MOST:
        line = f"{line[: MOST // 2]} … {line[-MOST // 2 :]}"
    return _escaped(line)


def with_lists(text: str) -> str:
    """Return Markdown that shows a text of several lines; only lists and `**bold**` in it are drawn."""
    lines: list[str] = []
    in_list = False
    for line in text.splitlines():
        found = ITEM.fullmatch(line.strip())
        marker, words = found.groups() if found else ("", line.strip())
        if bool(marker) != in_list:  # Markdown would continue the paragraph, or the last item
            lines.append("")
        in_list = bool(marker)
        bold = BOLD.sub(r"**\1**", _escaped(" ".join(words.split())))
        lines.append(f"{marker} {bold}" if marker else f"{bold}  ")
    return "\n".join(lines)


def _escaped(line: str) -> str:
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", SPECIAL.sub(r"\\\g<0>", line))
