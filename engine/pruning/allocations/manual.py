"""Manual: one ratio a block, given by the user, rescaled to the target on request."""

from __future__ import annotations

from collections.abc import Sequence

from engine.pruning.methods import ALLOCATIONS, Allocation
from engine.registry import Parameter

MAXIMUM = 0.99
TOLERANCE = 5e-4
"""How far the mean of ratios that are not rescaled may be from the target: half of the last digit a person types."""


def manual(target: float, sizes: Sequence[int], *, ratios: Sequence[float], rescale: str) -> list[float]:
    """The given ratios, multiplied by one factor (and clipped to 0.99) so that their weighted mean is the target where `rescale` is `yes`."""
    return list(ratios) if rescale == "no" else rescaled(ratios, sizes, target)


def weighted_mean(ratios: Sequence[float], sizes: Sequence[int]) -> float:
    """The overall sparsity that these ratios give."""
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def rescaled(ratios: Sequence[float], sizes: Sequence[int], target: float) -> list[float]:
    """`min(c * ratio, 0.99)` with the one c whose weighted mean is the target; blocks at 0 stay there while the others suffice.

    Where even 0.99 in every block that has a ratio does not reach the target, all blocks get the target.
    """

    def at(factor: float) -> list[float]:
        return [min(factor * ratio, MAXIMUM) for ratio in ratios]

    low, high = 0.0, 1.0
    while weighted_mean(at(high), sizes) < target:
        high *= 2
        if high > 1e9:
            return [target] * len(ratios)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if weighted_mean(at(middle), sizes) < target else (low, middle)
    return at(high)


ALLOCATIONS.add(
    Allocation(
        name="manual",
        title="Manual",
        explanation="You say how much each block loses; on request the ratios are scaled until their mean is the target.",
        formula=r"s_\ell = \min(c\, r_\ell,\ 0.99)",
        parameters=(
            Parameter(
                name="ratios",
                kind="ratios",
                default=(),
                explanation="one sparsity a block, first block first",
                minimum=0.0,
                maximum=MAXIMUM,
            ),
            Parameter(
                name="rescale",
                kind="choice",
                default="no",
                choices=("no", "yes"),
                explanation="scale the ratios until their mean is the target",
            ),
        ),
        function=manual,
    )
)
