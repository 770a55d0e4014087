"""Uniform: every block at the target."""

from __future__ import annotations

from collections.abc import Sequence

from engine.pruning.methods import ALLOCATIONS, Allocation


def uniform(target: float, sizes: Sequence[int]) -> list[float]:
    """The target for each block."""
    return [target] * len(sizes)


ALLOCATIONS.add(
    Allocation(
        name="uniform",
        title="Uniform",
        explanation="Every block loses the same share of its weights.",
        formula=r"s_\ell = s",
        function=uniform,
    )
)
