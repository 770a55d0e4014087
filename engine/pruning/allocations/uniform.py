"""Uniform: every block at the target."""

from __future__ import annotations

from collections.abc import Generator

from engine.events import Event
from engine.pruning.axes import ALLOCATIONS, Allocation
from engine.pruning.search import AllocationContext
from engine.pruning.shares import Shares


def uniform(context: AllocationContext) -> Generator[Event, None, Shares]:
    """The target for each block."""
    yield from ()
    return Shares((context.target,) * len(context.sizes))


ALLOCATIONS.add(
    Allocation(
        name="uniform",
        title="Uniform",
        explanation="Every block loses the same share of its weights.",
        helps="The plain reference, and hard to beat up to about half of the weights; at high sparsity the blocks that matter more suffer.",
        formula=r"s_\ell = s",
        function=uniform,
        even=True,
    )
)
