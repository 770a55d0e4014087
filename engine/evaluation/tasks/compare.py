"""Dense against pruned, task by task: pure arithmetic on two lists of scores.

Where both models were asked the same examples, the standard error of the difference is that of the examples'
differences: what both get right or wrong does not count as chance. Otherwise it is sqrt(a^2 + b^2) of the two
scores' own. A difference of more than twice its standard error is called clear: by chance alone one in twenty
would be. Says nothing of what pruning does to tasks that are not measured.

What a model scored on a task, with what is needed to compare it: the outcome of every example, and where the
examples come from.

Outcomes are kept as a string of digits, one an example (10 kB for the largest task), because two models that
were asked the same examples are compared example by example: the standard error of their difference is then
much smaller than that of two separate scores.
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
    return TaskScore(
        value=value, stderr=stderr, examples=len(outcomes), outcomes="".join(map(str, outcomes)), **facts
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and its standard error: the sample's standard deviation / sqrt(n) (lm-eval's `mean_stderr`);
    None for one value.
    """
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return mean, None
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (count - 1) / count)


CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Comparison:
    """One task, or the mean over several. What is not measured is None.

    Attributes:
        chance: what guessing gives.
        examples: how many the dense model was asked.
        difference: pruned minus dense.
        difference_stderr: its standard error.
        paired: whether that rests on the differences of single examples.
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
        """Whether the difference is more than twice its standard error."""
        if self.difference is None or self.difference_stderr is None:
            return False
        return abs(self.difference) > CLEAR * self.difference_stderr


def compare(dense: Iterable[TaskScore], pruned: Iterable[TaskScore]) -> tuple[Comparison, ...]:
    """One row a task of the dense model, in its order; the pruned model's part is None as long as it is not
    measured.
    """
    others = {score.task: score for score in pruned}
    return tuple(_row(score, others.get(score.task)) for score in dense)


def mean(rows: Sequence[Comparison]) -> Comparison | None:
    """The plain mean over the tasks, each counting the same; None for fewer than two.

    The tasks' examples are different ones, so its squared standard error is the sum of theirs / tasks^2. Of
    the pruned model there is nothing until all tasks are measured.
    """
    if len(rows) < 2:
        return None
    return Comparison(
        task="mean",
        title=f"Mean of {len(rows)}",
        chance=sum(row.chance for row in rows) / len(rows),
        examples=sum(row.examples for row in rows),
        dense=sum(row.dense for row in rows) / len(rows),
        dense_stderr=_together([row.dense_stderr for row in rows]),
        pruned=_mean([row.pruned for row in rows]),
        pruned_stderr=_together([row.pruned_stderr for row in rows]),
        difference=_mean([row.difference for row in rows]),
        difference_stderr=_together([row.difference_stderr for row in rows]),
        paired=all(row.paired for row in rows),
    )


def _row(dense: TaskScore, pruned: TaskScore | None) -> Comparison:
    task = TASKS.get(dense.task)
    title, chance = (task.title, task.chance) if task else (dense.task, 0.0)
    known = Comparison(dense.task, title, chance, dense.examples, dense.value, dense.stderr)
    if pruned is None:
        return known
    paired = _same_examples(dense, pruned)
    if paired:
        difference, error = mean_and_error(
            [int(after) - int(before) for before, after in zip(dense.outcomes, pruned.outcomes, strict=True)]
        )
    else:
        difference, error = pruned.value - dense.value, _root([dense.stderr, pruned.stderr])
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
    """Both begin at the first example, so the same source and number means the same ones."""
    return (dense.source, dense.metric, len(dense.outcomes)) == (
        pruned.source,
        pruned.metric,
        len(pruned.outcomes),
    ) and bool(dense.outcomes)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _root(errors: Sequence[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return sqrt(sum(error**2 for error in known)) if len(known) == len(errors) else None


def _together(errors: Sequence[float | None]) -> float | None:
    root = _root(errors)
    return None if root is None else root / len(errors)
