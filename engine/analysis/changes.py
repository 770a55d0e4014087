"""A value per block before a step and after it, for what an update or a refinement did.

A block's value is the mean over its linears that have both measurements, weighted by their size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan

from engine.events import LinearPruned
from engine.record import RunRecord

Value = Callable[[LinearPruned], float | None]
Weight = Callable[[LinearPruned], int]


@dataclass(frozen=True)
class Change:
    """A block's value before and after."""

    block: int
    before: float
    after: float

    @property
    def less(self) -> float:
        """The share of `before` that is no longer there; NaN if `before` is 0 or one of the two is not
        finite.
        """
        comparable = 0 < self.before < float("inf") and isfinite(self.after)
        return 1 - self.after / self.before if comparable else nan


def size_of(linear: LinearPruned) -> int:
    """Return the number of weights of a linear."""
    return linear.rows * linear.columns


def masked_error(linear: LinearPruned) -> float:
    """Return the error with the final mask and without an update."""
    return linear.output_error if linear.error_before_update is None else linear.error_before_update


def changes(record: RunRecord, before: Value, after: Value, weight: Weight = size_of) -> list[Change]:
    """Return the change of each block that has both measurements, in the model's order."""
    found = []
    for block in sorted(record.blocks, key=lambda block: block.index):
        measured = [(weight(linear), before(linear), after(linear)) for linear in block.linears]
        # without one of the two, the means would be over different linears
        both = [(size, one, other) for size, one, other in measured if one is not None and other is not None]
        if both:
            total = sum(size for size, *_ in both)
            first, second = (sum(item[0] * item[place] for item in both) / total for place in (1, 2))
            found.append(Change(block.index, first, second))
    return found


def drift_changes(record: RunRecord) -> list[Change]:
    """Return how the refinement changed the error that it lowers, `Refinement.measure`."""
    # it is a mean over rows, so rows are its weights
    return changes(
        record, lambda linear: linear.drift_before, lambda linear: linear.drift_after, lambda one: one.rows
    )


def refinement_changes(record: RunRecord) -> list[Change]:
    """Return how the refinement changed the output error with the mask alone."""
    return changes(record, lambda linear: linear.error_before_refinement, masked_error)


def update_changes(record: RunRecord) -> list[Change]:
    """Return how the update changed the output error."""
    return changes(record, lambda linear: linear.error_before_update, lambda linear: linear.output_error)
