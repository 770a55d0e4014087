"""What two masks share: intersection over union of the weights that stay, and of those that go, by block and
linear, beside what chance would give.

By chance means two blind choices that keep as many weights as these do: of shares `a` and `b` they have `ab`
in common and `a + b - ab` in all.
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
    """Two sets of weights laid over one another.

    Attributes:
        both: weights in both sets.
        either: weights in at least one.
        blind_both, blind_either: what these would be on average, were both sets drawn blindly and as large.
    """

    both: int
    either: int
    blind_both: float
    blind_either: float

    @property
    def share(self) -> float:
        """Intersection over union; 1 where both sets are empty."""
        return self.both / self.either if self.either else 1.0

    @property
    def chance(self) -> float:
        """The same of two blind sets."""
        return self.blind_both / self.blind_either if self.blind_either else 1.0


class LinearOverlap(Facts):
    """Two masks of one linear: the weights that stay, and those that go."""

    block: int
    linear: str
    kept: Shared
    removed: Shared


def overlaps(one: Mapping[int, BlockWeights], other: Mapping[int, BlockWeights]) -> tuple[LinearOverlap, ...]:
    """The overlap of two runs' masks, block by block.

    Raises:
        StoreError: they are not masks of one model's linears.
    """
    if sorted(one) != sorted(other):
        raise StoreError(
            "The two runs have different blocks, so their masks cannot be laid over one another. Choose two runs of one model."
        )
    found = []
    for index in sorted(one):
        mine, others = one[index], other[index]
        for name in mine:
            if name not in others or mine[name].keep.shape != others[name].keep.shape:
                raise StoreError(
                    f"Block {index} has no {name} of the same size in both runs. Choose two runs of one model."
                )
            found.append(overlap(index, name, mine[name].keep, others[name].keep))
    return tuple(found)


def overlap(block: int, name: str, one: Tensor, other: Tensor) -> LinearOverlap:
    """The overlap of two masks `[out, in]`, True = kept."""
    return LinearOverlap(block=block, linear=name, kept=_shared(one, other), removed=_shared(~one, ~other))


def _shared(one: Tensor, other: Tensor) -> Shared:
    first, second = float(one.double().mean()), float(other.double().mean())
    both = first * second * one.numel()
    blind = {"blind_both": both, "blind_either": (first + second) * one.numel() - both}
    return Shared(both=int((one & other).sum()), either=int((one | other).sum()), **blind)


def overall(found: Iterable[LinearOverlap], side: Side) -> Shared:
    """The weights of all linears together."""
    parts = [getattr(one, side) for one in found]
    return Shared(**{name: sum(getattr(part, name) for part in parts) for name in Shared.model_fields})
