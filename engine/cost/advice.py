"""Say what would fit when a run does not: the same recipe with one change, each tried before it is proposed.

Tried in the order of what they cost the user: the model read block by block, bfloat16, fewer or shorter
calibration windows, the CPU, and if none of these helps, a smaller model of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from engine.models.shape import ModelSummary, Storage
from engine.recipe import Recipe

MOST = 2
"""Proposals at most."""
FEWEST_WINDOWS, SHORTEST = 8, 128
"""Fewer or shorter calibration windows than these give poor results and are not proposed."""


class Planned(Protocol):
    """The part of a cost that advice reads."""

    @property
    def fits(self) -> bool: ...


Try = Callable[[Recipe, ModelSummary], Planned]


def advice(recipe: Recipe, summary: ModelSummary, attempt: Try) -> list[str]:
    """Return sentences that say what would fit. `attempt` estimates another recipe on the same machine."""

    def fits(**changes: object) -> bool:
        return attempt(recipe.model_copy(update=changes), summary).fits

    # `islice` is lazy, so no more changes are tried than are shown.
    return list(islice(_changes(recipe, fits, summary), MOST)) or list(_smaller(recipe, summary, attempt))


def _changes(recipe: Recipe, fits: Callable[..., bool], summary: ModelSummary) -> Iterator[str]:
    if recipe.residence == "resident" and fits(residence="streamed"):
        yield "It would fit if the model is read block by block from the disk."
    if recipe.dtype in ("auto", "float32") and fits(dtype="bfloat16"):
        yield "It would fit in bfloat16."
    if windows := _most(lambda count: fits(samples=count), FEWEST_WINDOWS, recipe.samples):
        yield f"It would fit with {windows} calibration windows instead of {recipe.samples}."
    length = recipe.window(summary.context_length)
    shorter = next((tokens for tokens in _halves(length) if fits(length=tokens)), None)
    if shorter is not None:
        yield f"It would fit with windows of {shorter:,} tokens instead of {length:,}."
    if recipe.device != "cpu" and summary.device != "cpu" and fits(device="cpu"):
        yield "It would fit on the CPU, but run more slowly."


def _halves(length: int) -> Iterator[int]:
    while (length := length // 2) >= SHORTEST:
        yield length


def _most(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """Return the largest number from `low` to `high - 1` that fits; None if not even `low` does.

    A bisection: memory never falls as the number grows.
    """
    if low >= high or not fits(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _smaller(recipe: Recipe, summary: ModelSummary, attempt: Try) -> Iterator[str]:
    """Propose the largest model of the catalogue that would fit, assumed to have this model's proportions."""
    from engine.hub.catalogue import catalogue

    # The catalogue is sorted by size; the first that fits is the largest.
    for entry in reversed(catalogue()):
        if entry.parameters < summary.parameters and not entry.gated:
            # the window that this model would get, since another model may have another default
            changes = {"model": entry.id, "revision": None, "length": recipe.window(summary.context_length)}
            other = recipe.model_copy(update=changes)
            if attempt(other, scaled(summary, entry.parameters, entry.bytes)).fits:
                yield f"A smaller model would fit, for instance {entry.title}."
                return


def scaled(summary: ModelSummary, parameters: int, stored: int) -> ModelSummary:
    """Return a model of the same proportions with other `parameters`, and `stored` bytes to download.

    The number of blocks stays, so widths grow with the square root of the parameters.
    """
    ratio = parameters / summary.parameters
    side = ratio**0.5
    # Gram matrices `[in, in]` grow with the square of the width, like the weights.
    names = ("prunable", "largest_block", "largest_grams", "outside", "bytes")
    counts = {name: round(getattr(summary, name) * ratio) for name in names}

    def wide(length: int) -> int:
        return max(1, round(length * side))

    linears = tuple(
        kind.model_copy(update={"rows": wide(kind.rows), "columns": wide(kind.columns)})
        for kind in summary.linears
    )
    return summary.model_copy(
        update={
            **counts,
            "parameters": parameters,
            "width": round(summary.width * side),
            "linears": linears,
            "sizes": tuple(round(count * ratio) for count in summary.sizes),
            "storage": Storage(place="hub", total=stored, missing=stored),
        }
    )
