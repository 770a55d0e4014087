"""A sweep's grid as words and colours: a sign and a number for each cell, and a tint that says its state once
more.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine import numbers
from engine.analysis.comparison.grid import Square, State
from engine.charts import palette

SIGNS: dict[State, str] = {
    "finished": "✓",
    "running": "▶",
    "queued": "…",
    "failed": "✗",
    "damaged": "✗",
    "cancelled": "■",
    "interrupted": "■",
    "missing": "·",
    "refused": "—",
}
TINTS: dict[State, str] = {
    "finished": palette.GREEN,
    "running": palette.BLUE,
    "queued": palette.SKY,
    "failed": palette.VERMILLION,
    "damaged": palette.VERMILLION,
    "cancelled": palette.ORANGE,
    "interrupted": palette.ORANGE,
    "refused": palette.GREY,
}
OPACITY = "38"
"""In hexadecimal, of 255: the page's own text stays readable on the tint, on light and on dark."""
LEGEND = "✓ finished, with its perplexity; ▶ going on; … waiting; · not started; ✗ failed; ■ cancelled; — impossible"


def sweep_words(squares: Sequence[Square]) -> pd.DataFrame:
    """The grid in words: a row a way to prune, a column a sparsity."""
    return _frame(squares, [square_words(square) for square in squares])


def sweep_colours(squares: Sequence[Square]) -> pd.DataFrame:
    """The grid as CSS, of the same shape as its words."""
    return _frame(
        squares,
        [f"background-color: {TINTS[one.state]}{OPACITY}" if one.state in TINTS else "" for one in squares],
    )


def square_words(square: Square) -> str:
    """`✓ 45.31`, `✓ 45.31 ± 0.42`, `▶ 38 %`, `… 1/3`."""
    words = [SIGNS[square.state]]
    if square.progress is not None:
        words.append(numbers.percent(square.progress, 0))
    if square.mean is not None:
        words.append(numbers.perplexity(square.mean))
    if square.deviation is not None:
        words.append(f"± {numbers.perplexity(square.deviation)}")
    if square.state != "finished" and len(square.keys) > 1:
        words.append(f"({square.done}/{len(square.keys)})")
    return " ".join(words)


def column_words(shape: str) -> str:
    """`50 %` of `0.5`; a pattern, or what is no sparsity at all, as it is."""
    try:
        return f"{100 * float(shape):g} %"
    except ValueError:
        return shape


def _frame(squares: Sequence[Square], values: Sequence[str]) -> pd.DataFrame:
    cells: dict[str, dict[str, str]] = {}
    for square, value in zip(squares, values, strict=True):
        cells.setdefault(square.way, {})[column_words(square.shape)] = value
    return pd.DataFrame.from_dict(cells, orient="index")
