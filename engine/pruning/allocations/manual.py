"""Manual: one ratio per block, given by the user, rescaled to the target on request; and shapes to start
from.

`flat`, `ramp` and `ends_spared` return ratios whose weighted mean is the target, whatever the sizes. They are
guesses for the user to edit: nothing is measured.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from engine.events import Event
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.search import AllocationContext
from engine.pruning.shares import HIGHEST, rescaled, weighted_mean
from engine.registry import Parameter

TOLERANCE = 5e-4
"""How far the mean of ratios that are not rescaled may be from the target: half of the last digit that users
type.
"""

RAMP = 0.2
"""A ramp extends by this fraction of the target below and above it: 40 to 60 % at a target of 50 %."""
SPARED = 0.5
"""The sparsity of the first and last block relative to the other blocks."""


def flat(sizes: Sequence[int], target: float) -> list[float]:
    """Return the target for each block."""
    return [target] * len(sizes)


def ramp(sizes: Sequence[int], target: float, *, falling: bool = False) -> list[float]:
    """Return ratios that rise evenly from the first block to the last, or fall."""
    last = max(1, len(sizes) - 1)  # a model may have one block
    shape = [1 - RAMP + 2 * RAMP * place / last for place in range(len(sizes))]
    return rescaled(shape[::-1] if falling else shape, sizes, target)


def ends_spared(sizes: Sequence[int], target: float) -> list[float]:
    """Return ratios that are half as large in the first and last block as in the others."""
    last = len(sizes) - 1
    return rescaled([SPARED if place in (0, last) else 1.0 for place in range(len(sizes))], sizes, target)


def refusal(parameters: Mapping[str, Any], sizes: Sequence[int], target: float) -> tuple[str, str] | None:
    """Return which parameter does not fit a model with blocks of these sizes, and why; None if all do."""
    ratios = parameters["ratios"]
    if len(ratios) != len(sizes):
        return (
            "ratios",
            f"the model has {len(sizes)} blocks, but {len(ratios)} ratios were given; give one per block.",
        )
    mean = weighted_mean(ratios, sizes)
    if parameters["rescale"] == "yes" or abs(mean - target) <= TOLERANCE:
        return None
    return "ratios", (
        f"the ratios give a sparsity of {mean:.4g}, but {target:g} was requested; "
        f"set the sparsity to {mean:.4g}, or manual.rescale to yes."
    )


def manual(
    context: AllocationContext, *, ratios: Sequence[float], rescale: str
) -> Generator[Event, None, Shares]:
    """Return the given ratios; with `rescale`, multiplied by one factor (and clipped to 0.99) so that their
    weighted mean is the target.
    """
    yield from ()  # a generator like every allocation, without events
    return Shares(tuple(ratios if rescale == "no" else rescaled(ratios, context.sizes, context.target)))


ALLOCATIONS.add(
    Allocation(
        name="manual",
        title="Manual",
        explanation="You set the sparsity of each block. On request the ratios are scaled so that their "
        "mean is the target.",
        helps="To test your own guess against the methods that measure. Sparing the first and last blocks "
        "is a good start.",
        formula=r"s_\ell = \min(c\, r_\ell,\ 0.99)",
        parameters=(
            Parameter(
                name="ratios",
                kind="ratios",
                default=(),
                explanation="one sparsity per block, first block first",
                minimum=0.0,
                maximum=HIGHEST,
            ),
            Parameter(
                name="rescale",
                kind="choice",
                default="no",
                choices=("no", "yes"),
                explanation="scale the ratios so that their mean is the target",
            ),
        ),
        function=manual,
        from_user=True,
        refuses=refusal,
    )
)
