"""The list of runs as a table, with its search and its sort orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from engine.numbers import age, perplexity, ratio
from engine.store.summary import RunSummary

SIGNS = {
    "finished": "✓ finished",
    "running": "▶ running",
    "queued": "… queued",
    "failed": "✗ failed",
    "cancelled": "■ cancelled",
    "interrupted": "↯ interrupted",
    "damaged": "⚠ damaged",
}
ORDERS: dict[str, Callable[[RunSummary], Any]] = {
    "Newest": lambda run: -run.changed,
    "Name": lambda run: run.title.lower(),
    "Perplexity": lambda run: (
        # runs without a result go last
        run.record.pruned.perplexity if run.record and run.record.pruned else float("inf")
    ),
    "Size": lambda run: -run.size,
}
"""Sort keys; pinned runs come first in all orders."""


def ordered(runs: Sequence[RunSummary], order: str) -> list[RunSummary]:
    """Return the runs in one of the `ORDERS`, pinned ones first."""
    return sorted(runs, key=lambda run: (not run.label.pinned, ORDERS[order](run)))  # False sorts before True


def matching(runs: Sequence[RunSummary], words: str, states: Sequence[str]) -> list[RunSummary]:
    """Return the runs in one of the states (in any if there are none) that contain every word.

    Words are looked for in a run's name, recipe, note, model, key and state.
    """
    wanted = words.lower().split()
    return [
        run
        for run in runs
        if (not states or run.state in states) and all(word in _search_text(run) for word in wanted)
    ]


def run_table(runs: Sequence[RunSummary], now: float) -> pd.DataFrame:
    """Return one row per run; `now` in seconds since 1970."""
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
            "MB": run.size / 1e6,  # a number, so that the column sorts
            "note": run.label.note or run.message or "",
        }
        for run in runs
    ]
    return pd.DataFrame(
        rows, columns=["", "state", "run", "recipe", "dense", "pruned", "ratio", "age", "MB", "note"]
    )


def _search_text(run: RunSummary) -> str:
    model = run.recipe.model_name if run.recipe else ""
    recipe = run.recipe.title if run.recipe else ""
    imported = "imported" if run.imported else ""
    return f"{run.title} {recipe} {run.label.note} {model} {run.key} {run.state} {imported}".lower()
