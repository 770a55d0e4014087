"""The points of a comparison as a table: a row a point, filtered by words and by how far it is from dense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from engine.analysis.comparison.points import Point

COLUMNS = (
    "family",
    "pattern",
    "sparsity",
    "achieved",
    "perplexity",
    "deviation",
    "seeds",
    "ratio",
    "own",
    "run",
)


def curve_table(families: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """One row a point; `run` is the key of its first seed's."""
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
            point.own,
            point.runs[0].key,
        )
        for name, points in families.items()
        for point in points
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"achieved": float, "deviation": float})


def filtered(table: pd.DataFrame, words: str, most: float | None) -> pd.DataFrame:
    """The rows that hold every word (`own`, `recorded` and `70%` are words too), at most so many times the
    dense perplexity.
    """
    wanted = words.lower().split()
    kept = [
        all(word in _text(row) for word in wanted) and (most is None or row.ratio <= most)
        for row in table.itertuples()
    ]
    return table[pd.Series(kept, index=table.index, dtype=bool)]


def _text(row: object) -> str:
    """What words are looked for in."""
    family, pattern, sparsity, own, run = (
        getattr(row, name) for name in ("family", "pattern", "sparsity", "own", "run")
    )
    return f"{family} {pattern} {100 * sparsity:g}% {'own' if own else 'recorded'} {run}".lower()
