"""Dense and pruned scores compared task by task: pure arithmetic on two lists of scores.

If both models were asked the same examples, the standard error of the difference is computed from the
per-example differences, so that examples which both models answer alike do not add to it; this error is much
smaller than that of two separate scores. Otherwise it is sqrt(a^2 + b^2) of the two scores' errors. A
difference of more than twice its standard error is called clear; by chance alone, one in twenty would be.

For this comparison, a score keeps the outcome of every example as a string of digits (10 kB for the largest
task). Says nothing about tasks that are not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from engine.evaluation.tasks.catalogue import TASKS
from engine.events import TaskScore


@dataclass(frozen=True)
class TaskProgress:
    """The progress of a task.

    Attributes:
        done: examples that have been scored.
        total: examples to score; 0 while they are being loaded.
        score: the task's score, with the last report only.
    """

    task: str
    done: int
    total: int
    score: TaskScore | None = None


def scored(outcomes: Sequence[int], **facts: Any) -> TaskScore:
    """Return the score of these outcomes, 0 or 1 per example; `facts` are its other fields."""
    value, stderr = mean_and_error(outcomes)
    return TaskScore(
        value=value, stderr=stderr, examples=len(outcomes), outcomes="".join(map(str, outcomes)), **facts
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error, None for one value.

    The error is the sample's standard deviation / sqrt(n), as in lm-eval's `mean_stderr`.
    """
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return mean, None
    # The sample's variance (divided by n - 1), divided by n.
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (count - 1) / count)


CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Comparison:
    """One task, or the mean over several; values that are not measured are None.

    Attributes:
        chance: the accuracy of guessing.
        examples: how many examples the dense model was asked.
        difference: pruned minus dense.
        difference_stderr: its standard error.
        paired: whether that error is computed from per-example differences.
    """

    task: str
    title: str
    chance: float
    examples: int
    dense: float
    dense_stderr: float | None
    pruned: float | None = None
    pruned_stderr: float | None = None
    difference: float | None = None
    difference_stderr: float | None = None
    paired: bool = False

    @property
    def clear(self) -> bool:
        """Return whether the difference is more than twice its standard error."""
        if self.difference is None or self.difference_stderr is None:
            return False
        return abs(self.difference) > CLEAR * self.difference_stderr


def compare(dense: Iterable[TaskScore], pruned: Iterable[TaskScore]) -> tuple[Comparison, ...]:
    """Return one row per task of the dense model, in the same order; the pruned model's values are None until
    they are measured.
    """
    others = {score.task: score for score in pruned}
    return tuple(_row(score, others.get(score.task)) for score in dense)


def mean(rows: Sequence[Comparison]) -> Comparison | None:
    """Return the unweighted mean over the tasks; None for fewer than two.

    The tasks' examples are independent, so its squared standard error is the sum of theirs / tasks^2. The
    pruned model's values are None until all its tasks are measured.
    """
    if len(rows) < 2:
        return None
    return Comparison(
        task="mean",
        title=f"Mean of {len(rows)}",
        chance=sum(row.chance for row in rows) / len(rows),
        examples=sum(row.examples for row in rows),
        dense=sum(row.dense for row in rows) / len(rows),
        dense_stderr=_error_of_mean([row.dense_stderr for row in rows]),
        pruned=_mean([row.pruned for row in rows]),
        pruned_stderr=_error_of_mean([row.pruned_stderr for row in rows]),
        difference=_mean([row.difference for row in rows]),
        difference_stderr=_error_of_mean([row.difference_stderr for row in rows]),
        paired=all(row.paired for row in rows),
    )


def _row(dense: TaskScore, pruned: TaskScore | None) -> Comparison:
    task = TASKS.get(dense.task)  # None for a stored score of a task that is not in the catalogue
    title, chance = (task.title, task.chance) if task else (dense.task, 0.0)
    known = Comparison(dense.task, title, chance, dense.examples, dense.value, dense.stderr)
    if pruned is None:
        return known
    paired = _same_examples(dense, pruned)
    if paired:
        difference, error = mean_and_error(
            # -1, 0 or 1 per example.
            [int(after) - int(before) for before, after in zip(dense.outcomes, pruned.outcomes, strict=True)]
        )
    else:
        # Independent samples: the variances add, for a difference as for a sum.
        difference, error = pruned.value - dense.value, _error_of_sum([dense.stderr, pruned.stderr])
    return Comparison(
        dense.task,
        title,
        chance,
        dense.examples,
        dense.value,
        dense.stderr,
        pruned.value,
        pruned.stderr,
        difference,
        error,
        paired,
    )


def _same_examples(dense: TaskScore, pruned: TaskScore) -> bool:
    """Return whether both models were asked the same examples: both start at the first one, so the same
    source and number is enough.
    """
    return (dense.source, dense.metric, len(dense.outcomes)) == (
        pruned.source,
        pruned.metric,
        len(pruned.outcomes),
    ) and bool(dense.outcomes)  # scores without outcomes would look equal


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _error_of_sum(errors: Sequence[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return sqrt(sum(error**2 for error in known)) if len(known) == len(errors) else None


def _error_of_mean(errors: Sequence[float | None]) -> float | None:
    total = _error_of_sum(errors)
    return None if total is None else total / len(errors)
