"""How much a computation does, in the units that the estimate of a run's duration measures a machine in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """The work of a computation.

    Attributes:
        operations: floating-point operations in products and factorisations of matrices.
        numbers: numbers read or written by everything else, which is as fast as memory.
        steps: small computations that have to wait for one another, so that their overhead adds up.
    """

    operations: float = 0.0
    numbers: float = 0.0
    steps: float = 0.0

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            self.operations + other.operations, self.numbers + other.numbers, self.steps + other.steps
        )

    def __mul__(self, times: float) -> Effort:
        return Effort(self.operations * times, self.numbers * times, self.steps * times)
