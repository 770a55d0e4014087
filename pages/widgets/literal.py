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


def literal(text: object) -> str:
    """Return Markdown that shows a text as it is: on one line, and shortened if it is very long."""
    line = " ".join(str(text).split())
    if len(line) > MOST:
        line = f"{line[: MOST // 2]} … {line[-MOST // 2 :]}"
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", SPECIAL.sub(r"\\\g<0>", line))
