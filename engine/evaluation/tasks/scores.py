"""What a model scored on a task, with what is needed to compare it: the outcome of every example, and where the examples come from.

Outcomes are kept as a string of digits, one an example (10 kB for the largest task), because two models that were asked the same examples
are compared example by example: the standard error of their difference is then much smaller than that of two separate scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from engine.events import TaskScore


@dataclass(frozen=True)
class TaskProgress:
    """How far a task is.

    Attributes:
        done: examples that are scored.
        total: examples that will be; 0 while they are being loaded.
        score: the task's score, with its last progress.
    """

    task: str
    done: int
    total: int
    score: TaskScore | None = None


def scored(outcomes: Sequence[int], **facts: Any) -> TaskScore:
    """The score that these outcomes, 0 or 1 an example, amount to; `facts` are its other fields."""
    value, stderr = mean_and_error(outcomes)
    return TaskScore(value=value, stderr=stderr, examples=len(outcomes), outcomes="".join(map(str, outcomes)), **facts)


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and its standard error: the sample's standard deviation / sqrt(n) (lm-eval's `mean_stderr`); None for one value."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return mean, None
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (count - 1) / count)
