"""The list of runs as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from engine.numbers import perplexity, ratio
from engine.store.runs import RunSummary

SIGNS = {
    "finished": "✓ finished",
    "running": "▶ running",
    "queued": "… waiting",
    "failed": "✗ failed",
    "cancelled": "■ cancelled",
    "interrupted": "↯ interrupted",
    "damaged": "⚠ damaged",
}
ORDERS: dict[str, Callable[[RunSummary], Any]] = {
    "Newest": lambda run: -run.changed,
    "Name": lambda run: run.title.lower(),
    "Perplexity": lambda run: (
        run.record.pruned.perplexity if run.record and run.record.pruned else float("inf")
    ),
    "Size": lambda run: -run.size,
}
"""Ways to order a list; pinned runs come first in all of them."""


def ordered(runs: Sequence[RunSummary], order: str) -> list[RunSummary]:
    """The runs in an order, pinned ones first."""
    return sorted(runs, key=lambda run: (not run.label.pinned, ORDERS[order](run)))


def found(runs: Sequence[RunSummary], words: str, states: Sequence[str]) -> list[RunSummary]:
    """The runs whose name, recipe, note, model or key hold every word, in one of the states (all where there
    is none).
    """
    wanted = words.lower().split()
    return [
        run
        for run in runs
        if (not states or run.state in states) and all(word in _text(run) for word in wanted)
    ]


def run_table(runs: Sequence[RunSummary], now: float) -> pd.DataFrame:
    """One row a run; `now` in seconds since 1970."""
    rows = [
        {
            "": "📌" if run.label.pinned else "",
            "state": SIGNS[run.state] + (", imported" if run.imported else ""),
            "run": run.title,
            "recipe": run.recipe.title if run.recipe else "",
            "dense": perplexity(run.record.dense.perplexity if run.record and run.record.dense else None),
            "pruned": perplexity(run.record.pruned.perplexity if run.record and run.record.pruned else None),
            "ratio": ratio(run.record.ratio if run.record else None),
            "age": age(now - run.changed),
            "MB": run.size / 1e6,
            "note": run.label.note or run.message or "",
        }
        for run in runs
    ]
    return pd.DataFrame(
        rows, columns=["", "state", "run", "recipe", "dense", "pruned", "ratio", "age", "MB", "note"]
    )


def age(seconds: float) -> str:
    """`just now`, `5 min`, `3 h`, `2 days`."""
    for size, word in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'s' if word == 'day' and count > 1 else ''}"
    return "just now"


def _text(run: RunSummary) -> str:
    model = Path(run.recipe.model).name if run.recipe else ""
    recipe = run.recipe.title if run.recipe else ""
    return f"{run.title} {recipe} {run.label.note} {model} {run.key} {run.state} {'imported' if run.imported else ''}".lower()
