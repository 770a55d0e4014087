"""The arithmetic on the sparsities of blocks that makes the overall sparsity the target.

Ratios are sparsities; their mean is weighted by size, the number of prunable weights. They are rescaled only
if clipping to a limit moved that mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


LOWEST, HIGHEST = 0.01, 0.99
"""The limits of methods that allocate sparsity unevenly (NeuroAL and the methods it is compared with)."""


def weighted_mean(ratios: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the overall sparsity of these ratios."""
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def centred(ratios: Sequence[float], sizes: Sequence[int], target: float) -> list[float]:
    """Shift all ratios by the same amount so that their weighted mean is the target."""
    shift = target - weighted_mean(ratios, sizes)
    return [ratio + shift for ratio in ratios]


def within_limits(
    ratios: Sequence[float], sizes: Sequence[int], target: float
) -> tuple[list[float], tuple[int, ...]]:
    """Clip ratios to 0.01 and 0.99, rescaling if that moved the mean; return them and the clipped positions.

    If the target itself is outside the limits, every block gets exactly the target.
    """
    if not LOWEST <= target <= HIGHEST:
        return [target] * len(ratios), ()
    clipped = tuple(index for index, ratio in enumerate(ratios) if not LOWEST <= ratio <= HIGHEST)
    return (rescaled(ratios, sizes, target, lowest=LOWEST) if clipped else list(ratios)), clipped


def rescaled(
    ratios: Sequence[float], sizes: Sequence[int], target: float, *, lowest: float = 0.0
) -> list[float]:
    """Return `c * ratio`, clipped to `lowest` and 0.99, for the c whose weighted mean is the target.

    Blocks at 0 stay at 0 unless `lowest` lifts them. If even 0.99 in every other block does not reach the
    target, all blocks get the target.
    """
    values = torch.tensor(ratios, dtype=torch.float64)
    weights = torch.tensor(sizes, dtype=torch.float64)
    scaled = rescale(values, weights, target, lowest=lowest)
    return [target] * len(ratios) if scaled is None else scaled.tolist()


def rescale(ratios: Tensor, weights: Tensor, target: float, *, lowest: float = 0.0) -> Tensor | None:
    """Like `rescaled`, for float64 tensors of equal length; None if the target is out of reach."""
    share = weights / weights.sum()  # [blocks or rows], sums to 1

    def scaled(factor: float) -> Tensor:
        return (factor * ratios).clamp(lowest, HIGHEST)

    def mean(factor: float) -> float:
        return float(scaled(factor) @ share)

    # The mean never falls as the factor grows: find the smallest factor that reaches the target, first by
    # doubling (up to a billion), then by bisection. 1e-15 is the rounding of the mean.
    low, high = 0.0, 1.0
    while mean(high) < target - 1e-15:
        high *= 2
        if high > 1e9:
            return None
    for _ in range(100):  # far more halvings than float64 can resolve
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < target else (low, middle)
    return scaled(high)  # not `low`: the mean there is below the target
