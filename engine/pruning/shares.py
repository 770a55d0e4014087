"""How much each block, and where a method wants it each row, loses; and the arithmetic that makes the overall
sparsity the target.

Ratios are rescaled only where a limit moved their mean. Sizes are prunable weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.events import QUANTILES, RowSpread

LOWEST, HIGHEST = 0.01, 0.99
"""The limits of methods that spread the sparsity out (NeuroAL and those it is compared with)."""


@dataclass(frozen=True)
class Shares:
    """What is to be removed.

    Attributes:
        blocks: sparsity of each block.
        rows: sparsities of single rows, `[out]` float64, by block and linear; a linear that is not there
            loses its block's ratio in each row.
        clipped: blocks whose ratio was held at a limit.
        consumers: by block and linear, the linear whose input columns its rows became; empty where no method
            looked.
    """

    blocks: tuple[float, ...]
    rows: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    clipped: tuple[int, ...] = ()
    consumers: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)

    def of(self, block: int, linear: str) -> float | Tensor:
        """The sparsity of a linear: one number, or one a row."""
        return self.rows.get(block, {}).get(linear, self.blocks[block])


def spreads(shares: Shares) -> tuple[tuple[RowSpread, ...], ...]:
    """How each block's linears share their sparsity out over their rows; empty where no method looked at
    rows.
    """
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    return tuple(
        tuple(
            RowSpread(
                name=name,
                consumer=shares.consumers.get(index, {}).get(name),
                quantiles=tuple(rows.quantile(levels).tolist()),
            )
            for name, rows in shares.rows[index].items()
        )
        for index in sorted(shares.rows)
    )


def weighted_mean(ratios: Sequence[float], sizes: Sequence[int]) -> float:
    """The overall sparsity that these ratios give."""
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def centred(ratios: Sequence[float], sizes: Sequence[int], target: float) -> list[float]:
    """The ratios moved by one amount so that their weighted mean is the target."""
    shift = target - weighted_mean(ratios, sizes)
    return [ratio + shift for ratio in ratios]


def within_limits(
    ratios: Sequence[float], sizes: Sequence[int], target: float
) -> tuple[list[float], tuple[int, ...]]:
    """Ratios held at 0.01 and 0.99, rescaled where that moved the mean, and the places that were held.

    A target outside the limits is met exactly by all blocks alike.
    """
    if not LOWEST <= target <= HIGHEST:
        return [target] * len(ratios), ()
    held = tuple(place for place, ratio in enumerate(ratios) if not LOWEST <= ratio <= HIGHEST)
    return (rescaled(ratios, sizes, target, lowest=LOWEST) if held else list(ratios)), held


def rescaled(
    ratios: Sequence[float], sizes: Sequence[int], target: float, *, lowest: float = 0.0
) -> list[float]:
    """`c * ratio`, held between `lowest` and 0.99, with the one c whose weighted mean is the target; blocks
    at 0 stay there if they can.

    Where even 0.99 in every block that has a ratio does not reach the target, all blocks get the target.
    """
    values = torch.tensor(ratios, dtype=torch.float64)
    weights = torch.tensor(sizes, dtype=torch.float64)
    scaled = rescale(values, weights, target, lowest=lowest)
    return [target] * len(ratios) if scaled is None else scaled.tolist()


def rescale(ratios: Tensor, weights: Tensor, target: float, *, lowest: float = 0.0) -> Tensor | None:
    """As `rescaled`, for float64 tensors of one length; None where the target is out of reach."""
    share = weights / weights.sum()

    def at(factor: float) -> Tensor:
        return (factor * ratios).clamp(lowest, HIGHEST)

    factor = _smallest(lambda factor: float(at(factor) @ share), target)
    return None if factor is None else at(factor)


def _smallest(rising: Callable[[float], float], target: float) -> float | None:
    """The smallest factor at which a function that never falls reaches the target, None if there is none
    below a billion.
    """
    low, high = 0.0, 1.0
    while rising(high) < target - 1e-15:
        high *= 2
        if high > 1e9:
            return None
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return high
