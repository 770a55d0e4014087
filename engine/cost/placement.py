"""Where a run keeps the model and the hidden states of its texts.

In order of speed: the whole model in memory; the hidden states on the host instead of the accelerator; the
model read block by block from the disk. The first that fits is taken. If none fits, it is the last, which
needs least; whether to refuse is for the caller to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from engine.cost.footprint import Footprint, footprint
from engine.hardware.batching import Residence
from engine.hardware.memory import Capacity
from engine.models.shape import ModelSummary
from engine.recipe import Recipe

USED = 0.9
"""Share of the free memory that a run may take. The rest covers what other programs allocate meanwhile, and
the error of the estimate.
"""


@dataclass(frozen=True)
class Placement:
    """A choice, and the memory that it needs.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        residence: `resident` (the whole model in memory) or `streamed` (read block by block).
        offload: whether hidden states wait on the host between two blocks.
        footprint: bytes at the peak.
    """

    device: str
    residence: Residence
    offload: bool
    footprint: Footprint


def placement(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None) -> Placement:
    """Return the fastest placement that fits, or the one that needs least memory if none does.

    Args:
        capacity: what is free; None if unknown, and then the fastest placement is taken.
    """
    device = summary.device if recipe.device == "auto" else recipe.device
    residences: list[Residence] = (
        ["resident", "streamed"] if recipe.residence == "auto" else [recipe.residence]
    )
    for residence, offload in product(residences, (False, True) if device == "cuda" else (False,)):
        need = footprint(recipe, summary, device, residence, offload=offload)
        if capacity is None or fits(need, capacity):
            break
    return Placement(device, residence, offload, need)


def fits(need: Footprint, capacity: Capacity) -> bool:
    """Whether the memory suffices, on the host and on the device."""
    return not (exceeds(need.device, capacity.device_free) or exceeds(need.host, capacity.host_free))


def exceeds(needed: int | None, free: int | None) -> bool:
    """Whether more bytes are needed than a run may take; False if either number is unknown."""
    return needed is not None and free is not None and needed > USED * free
