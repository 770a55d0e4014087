"""The points of a comparison as a table, with its filter by words and by the ratio to dense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from engine.analysis.comparison.points import Point
from engine.analysis.published import published
from engine.numbers import short_percent
from engine.record import is_imported

LITERATURE = ("published", "protocol", "source")
COLUMNS = (
    "family",
    "pattern",
    "sparsity",
    "achieved",
    "perplexity",
    "deviation",
    "seeds",
    "ratio",
    *LITERATURE,
    "own",
    "run",
)


def curve_table(families: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """Return one row per point; `run` is the key of its first seed's run.

    `published` is the perplexity that a paper reports, `protocol` says what differs in how it was measured,,
    and `source` is its address; without any such figure, the three are left out.
    """
    rows = [
        (
            name,
            point.shape,
            point.sparsity,
            point.achieved,
            point.perplexity,
            point.deviation,
            len(point.runs),
            point.ratio,
            *_published(point),
            point.own,
            point.runs[0].key,
        )
        for name, points in families.items()
        for point in points
    ]
    numbers = {"achieved": float, "deviation": float, "published": float}
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(numbers)
    return table if table["published"].notna().any() else table.drop(columns=list(LITERATURE))


def _published(point: Point) -> tuple[float | None, str, str]:
    """Return the values of `LITERATURE`: of the figure whose protocol is the most similar."""
    figures = published(point.runs[0].record)
    if not figures:
        return None, "", ""
    closest = figures[0]
    return closest.figure.perplexity, "; ".join(closest.differences) or "the same", closest.source.link


def filtered(table: pd.DataFrame, words: str, most: float | None) -> pd.DataFrame:
    """Return the rows that contain every word and whose ratio to the dense perplexity is at most `most`.

    `own`, `recorded`, `imported` and `70%` are words, too.
    """
    wanted = words.lower().split()
    matches = [
        all(word in _search_text(row) for word in wanted) and (most is None or row.ratio <= most)
        for row in table.itertuples()
    ]
    return table[pd.Series(matches, index=table.index, dtype=bool)]  # the dtype matters if there are no rows


def _search_text(row: object) -> str:
    """Return the text in which words are looked for."""
    family, pattern, sparsity, own, run = (
        getattr(row, name) for name in ("family", "pattern", "sparsity", "own", "run")
    )
    # An imported run says so in the name of its family.
    origin = "own" if own else "" if is_imported(run) else "recorded"
    return f"{family} {pattern} {short_percent(sparsity)} {origin} {run}".lower()
