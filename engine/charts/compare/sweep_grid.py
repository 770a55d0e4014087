"""A sweep's grid as words and colours: a sign and a number for each cell, and a tint for its state."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine import numbers
from engine.analysis.comparison.grid import GridCell, State
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
TINTS: dict[State, str] = {  # without "missing": not started is the cell's normal look
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
"""In hexadecimal, of FF: the page's text stays readable on the tint in both themes."""
LEGEND = (
    "✓ finished, with its perplexity; ▶ running; … queued; · not started; ✗ failed; ■ cancelled; — impossible"
)


def sweep_words(cells: Sequence[GridCell]) -> pd.DataFrame:
    """Return the grid in words: one row per pruner with its allocation, one column per sparsity."""
    return _frame(cells, [cell_words(cell) for cell in cells])


def sweep_colours(cells: Sequence[GridCell]) -> pd.DataFrame:
    """Return the grid as CSS, in the same shape as its words."""
    return _frame(
        cells,
        [f"background-color: {TINTS[cell.state]}{OPACITY}" if cell.state in TINTS else "" for cell in cells],
    )


def cell_words(cell: GridCell) -> str:
    """Return `✓ 45.31`, `✓ 45.31 ± 0.42`, `▶ 38 %`, `… (1/3)`."""
    words = [SIGNS[cell.state]]
    if cell.progress is not None:
        words.append(numbers.percent(cell.progress, 0))
    if cell.spread is not None:
        words.append(numbers.perplexity(cell.spread.mean))
        if cell.spread.deviation is not None:
            words.append(f"± {numbers.perplexity(cell.spread.deviation)}")
    if cell.state != "finished" and len(cell.keys) > 1:
        words.append(f"({cell.done}/{len(cell.keys)})")
    return " ".join(words)


def column_words(shape: str) -> str:
    """Return `50 %` for `0.5`; a pattern, or text that is no sparsity, unchanged."""
    try:
        return f"{100 * float(shape):g} %"
    except ValueError:
        return shape


def _frame(cells: Sequence[GridCell], values: Sequence[str]) -> pd.DataFrame:
    rows: dict[str, dict[str, str]] = {}
    for cell, value in zip(cells, values, strict=True):
        rows.setdefault(cell.method, {})[column_words(cell.shape)] = value  # column order: first appearance
    return pd.DataFrame.from_dict(rows, orient="index")
