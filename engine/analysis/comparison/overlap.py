"""The overlap of two masks: intersection over union of the kept and of the removed weights, per linear.

It is compared with chance: two random masks that keep the shares `a` and `b` have an expected intersection of
`ab` and an expected union of `a + b - ab`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from engine.errors import StoreError
from engine.events import Facts
from engine.pruning.weights import BlockWeights

Side = Literal["kept", "removed"]


class Shared(Facts):
    """The overlap of two sets of weights.

    Attributes:
        both: weights in both sets.
        either: weights in at least one.
        blind_both, blind_either: their expected values for random sets of the same sizes.
    """

    both: int
    either: int
    blind_both: float
    blind_either: float

    @property
    def share(self) -> float:
        """Intersection over union; 1 if both sets are empty."""
        return self.both / self.either if self.either else 1.0

    @property
    def chance(self) -> float:
        """Intersection over union of two random sets."""
        return self.blind_both / self.blind_either if self.blind_either else 1.0


class LinearOverlap(Facts):
    """The overlap of two masks of one linear, for the kept and for the removed weights."""

    block: int
    linear: str
    kept: Shared
    removed: Shared


def overlaps(one: Mapping[int, BlockWeights], other: Mapping[int, BlockWeights]) -> tuple[LinearOverlap, ...]:
    """Return the overlap of two runs' masks, block by block.

    Raises:
        StoreError: the masks are not of the same model.
    """
    if sorted(one) != sorted(other):
        raise StoreError(
            "The two runs have different blocks, so their masks cannot be compared. Choose two runs of the "
            "same model."
        )
    found = []
    for index in sorted(one):
        left, right = one[index], other[index]
        for name in left:
            if name not in right or left[name].keep.shape != right[name].keep.shape:
                raise StoreError(
                    f"Block {index} has no {name} of the same size in both runs. Choose two runs of the same "
                    "model."
                )
            found.append(overlap(index, name, left[name].keep, right[name].keep))
    return tuple(found)


def overlap(block: int, name: str, one: Tensor, other: Tensor) -> LinearOverlap:
    """Return the overlap of two masks `[out, in]`, True = kept."""
    return LinearOverlap(block=block, linear=name, kept=_shared(one, other), removed=_shared(~one, ~other))


def _shared(one: Tensor, other: Tensor) -> Shared:
    first, second = float(one.double().mean()), float(other.double().mean())
    both = first * second * one.numel()  # expected intersection of independent masks
    blind = {"blind_both": both, "blind_either": (first + second) * one.numel() - both}
    return Shared(both=int((one & other).sum()), either=int((one | other).sum()), **blind)


def overall(overlaps: Iterable[LinearOverlap], side: Side) -> Shared:
    """Return the overlap over the weights of all linears."""
    parts = [getattr(one, side) for one in overlaps]
    # Sums of counts, not means of shares, so that every weight counts the same.
    return Shared(**{name: sum(getattr(part, name) for part in parts) for name in Shared.model_fields})
