"""What the chart of the zero-shot tasks shows."""

from __future__ import annotations

from collections.abc import Sequence

from engine.analysis.explanations.explanation import REAL_MODEL, Explanation, explanation
from engine.evaluation.tasks.compare import Comparison, compare, mean
from engine.events import TaskScore
from engine.numbers import listed, percent


def task_accuracy(dense: Sequence[TaskScore], pruned: Sequence[TaskScore]) -> Explanation:
    """Explain the marks of both models' accuracies."""
    rows = compare(dense, pruned)
    whole = mean(rows) or (rows[0] if rows else None)
    if whole is None:
        return explanation(["No task is evaluated yet."], REAL_MODEL)
    if whole.pruned is None or whole.difference is None:
        words = f"The dense model scores {percent(whole.dense)}; the pruned one is not evaluated yet."
        return explanation([words], REAL_MODEL)
    over = f"in the mean over {len(rows)} tasks" if len(rows) > 1 else f"on {whole.title}"
    first = (
        f"{over}, both models answer {percent(whole.dense)} of the examples right."
        if whole.difference == 0
        else f"{over}, the pruned model answers {percent(whole.pruned)} of the examples right, the dense one "
        f"{percent(whole.dense)}."
    )
    clear = [row.title for row in rows if row.clear]
    second = (
        f"The change is larger than twice its standard error on {listed(clear)}."
        if clear
        else "On no task is the change larger than twice its standard error, so it may be chance."
    )
    return explanation([first, second, _guessing(rows)], REAL_MODEL)


def _guessing(rows: Sequence[Comparison]) -> str:
    """Return the tasks on which the pruned model is within one standard error of guessing, or below it."""
    titles = [
        row.title
        for row in rows
        if row.pruned is not None and row.pruned - (row.pruned_stderr or 0.0) <= row.chance
    ]
    return (
        f"Within its standard error, the pruned model is no better than guessing on {listed(titles)}."
        if titles
        else ""
    )
