"""Uniform: every block has the target sparsity."""

from __future__ import annotations

from collections.abc import Generator

from engine.events import Event
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.search import AllocationContext


def uniform(context: AllocationContext) -> Generator[Event, None, Shares]:
    """Return the target for each block."""
    yield from ()
    return Shares((context.target,) * len(context.sizes))


ALLOCATIONS.add(
    Allocation(
        name="uniform",
        title="Uniform",
        explanation="Every block has the same sparsity.",
        helps="The baseline, and hard to beat up to about 50 %. At high sparsity the more important blocks "
        "suffer.",
        formula=r"s_\ell = s",
        function=uniform,
        even=True,
    )
)
