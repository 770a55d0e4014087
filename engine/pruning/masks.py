"""Mask sources: what an update asks for its mask.

A *running* source scores the columns it is asked for on their current weights (SparseGPT decides its mask
inside its update). It exists when the score declares itself running, no refinement is chosen, and the pattern
decides a few columns at a time. A comparison group of a whole row or layer needs all scores at once, so it is
*frozen* on the dense weights, like every other case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from engine.pruning.patterns import Pattern
from engine.pruning.statistics import Statistics


class RunningScore(Protocol):
    """A score that can be evaluated on some columns alone."""

    def __call__(self, weight: Tensor, statistics: Statistics, *, columns: slice) -> Tensor: ...


class MaskSource(Protocol):
    """Where an update gets its mask from."""

    @property
    def step(self) -> int | None:
        """How many columns have to be asked for together while the weights change; None where any number will
        do.
        """

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        """The mask `[out, columns]` of these columns, given their current weights `[out, columns]`."""


@dataclass(frozen=True)
class Frozen:
    """A mask `[out, in]` that was decided before the update."""

    mask: Tensor
    step: int | None = None

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        return self.mask[:, columns]


@dataclass(frozen=True)
class Running:
    """A mask that is decided on the running weights, a few columns at a time."""

    score: RunningScore
    statistics: Statistics
    pattern: Pattern
    sparsity: float

    @property
    def step(self) -> int | None:
        return self.pattern.step

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        return self.pattern.keep(self.score(weight, self.statistics, columns=columns), self.sparsity)
