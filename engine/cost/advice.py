"""What would fit where a run does not: the same recipe with one thing changed, each tried before it is said.

In the order in which they cost least: the model read block by block, bfloat16, fewer or shorter windows, the
CPU, and if nothing of that helps a smaller model of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from engine.models.shape import ModelSummary, Storage
from engine.recipe import Recipe

MOST = 2
"""How many ways are said."""
FEWEST_WINDOWS, SHORTEST = 8, 128
"""Less calibration than that is not proposed."""


class Planned(Protocol):
    """What is looked at of a cost."""

    @property
    def fits(self) -> bool: ...


Try = Callable[[Recipe, ModelSummary], Planned]


def advice(recipe: Recipe, summary: ModelSummary, attempt: Try) -> list[str]:
    """Sentences about what would fit; `attempt` plans another recipe on the same machine."""
    found = list(
        islice(
            _changes(
                recipe, lambda **changes: attempt(recipe.model_copy(update=changes), summary).fits, summary
            ),
            MOST,
        )
    )
    return found or list(_smaller(recipe, summary, attempt))


def _changes(recipe: Recipe, fits: Callable[..., bool], summary: ModelSummary) -> Iterator[str]:
    if recipe.residence == "resident" and fits(residence="streamed"):
        yield "Read block by block from the disk it would fit."
    if recipe.dtype in ("auto", "float32") and fits(dtype="bfloat16"):
        yield "In bfloat16 it would fit."
    if windows := _most(lambda count: fits(samples=count), FEWEST_WINDOWS, recipe.samples):
        yield f"With {windows} calibration windows instead of {recipe.samples} it would fit."
    length = recipe.window(summary.longest)
    shorter = next((tokens for tokens in _halves(length) if fits(length=tokens)), None)
    if shorter is not None:
        yield f"With windows of {shorter:,} tokens instead of {length:,} it would fit."
    if recipe.device != "cpu" and summary.device != "cpu" and fits(device="cpu"):
        yield "On the CPU it would fit, more slowly."


def _halves(length: int) -> Iterator[int]:
    while (length := length // 2) >= SHORTEST:
        yield length


def _most(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """The most in `low` up to `high - 1` that fits, None where not even `low` does; fewer never need more."""
    if low >= high or not fits(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _smaller(recipe: Recipe, summary: ModelSummary, attempt: Try) -> Iterator[str]:
    """The largest smaller model of the catalogue that would fit, judged as if it had this model's
    proportions.
    """
    from engine.hub.catalogue import catalogue

    for entry in reversed(catalogue()):
        if entry.parameters < summary.parameters and not entry.gated:
            other = recipe.model_copy(
                update={"model": entry.id, "revision": None, "length": recipe.window(summary.longest)}
            )
            if attempt(other, scaled(summary, entry.parameters, entry.bytes)).fits:
                yield f"A smaller model would fit, for instance {entry.title}."
                return


def scaled(summary: ModelSummary, parameters: int, stored: int) -> ModelSummary:
    """A model of the same proportions with so many parameters, `stored` bytes to be downloaded."""
    ratio = parameters / summary.parameters
    side = ratio**0.5
    counts = {
        name: round(getattr(summary, name) * ratio)
        for name in ("prunable", "block_most", "block_grams", "outside", "bytes")
    }
    linears = tuple(
        kind.model_copy(
            update={"rows": max(1, round(kind.rows * side)), "columns": max(1, round(kind.columns * side))}
        )
        for kind in summary.linears
    )
    sizes = tuple(round(count * ratio) for count in summary.sizes)
    storage = Storage(place="hub", total=stored, missing=stored)
    more = {
        "parameters": parameters,
        "width": round(summary.width * side),
        "linears": linears,
        "sizes": sizes,
        "storage": storage,
    }
    return summary.model_copy(update={**counts, **more})
