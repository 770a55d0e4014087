"""What two masks share: intersection over union of the weights that stay, by block and linear, beside what chance would give."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.errors import StoreError
from engine.events import Facts
from engine.pruning.weights import BlockWeights


class LinearOverlap(Facts):
    """Two masks of one linear.

    Attributes:
        block: its index.
        linear: its name in the block.
        kept: intersection over union of the weights that stay; 1 where neither keeps any.
        removed: the same of those that go; 1 where neither removes any.
        chance: what `kept` would be about, had both chosen blindly and as many: `ab / (a + b - ab)` of the shares kept.
        both, either: weights that both keep, and that at least one does.
    """

    block: int
    linear: str
    kept: float
    removed: float
    chance: float
    both: int
    either: int


def overlaps(one: Mapping[int, BlockWeights], other: Mapping[int, BlockWeights]) -> tuple[LinearOverlap, ...]:
    """The overlap of two runs' masks, block by block.

    Raises:
        StoreError: they are not masks of one model's linears.
    """
    if sorted(one) != sorted(other):
        raise StoreError("The two runs have different blocks, so their masks cannot be laid over one another. Choose two runs of one model.")
    found = []
    for index in sorted(one):
        mine, others = one[index], other[index]
        for name in mine:
            if name not in others or mine[name].keep.shape != others[name].keep.shape:
                raise StoreError(f"Block {index} has no {name} of the same size in both runs. Choose two runs of one model.")
            found.append(overlap(index, name, mine[name].keep, others[name].keep))
    return tuple(found)


def overlap(block: int, name: str, one: Tensor, other: Tensor) -> LinearOverlap:
    """The overlap of two masks `[out, in]`, True = kept."""
    both, either = int((one & other).sum()), int((one | other).sum())
    gone, any_gone = int((~one & ~other).sum()), int((~one | ~other).sum())
    first, second = float(one.float().mean()), float(other.float().mean())
    union = first + second - first * second
    return LinearOverlap(
        block=block,
        linear=name,
        kept=both / either if either else 1.0,
        removed=gone / any_gone if any_gone else 1.0,
        chance=first * second / union if union else 1.0,
        both=both,
        either=either,
    )


def overall(found: tuple[LinearOverlap, ...]) -> float:
    """Intersection over union of the weights that stay, over the whole model."""
    either = sum(one.either for one in found)
    return sum(one.both for one in found) / either if either else 1.0
