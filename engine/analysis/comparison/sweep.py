"""Many runs at once: every pruner over every sparsity, top-up and seed, as plain recipes.

A sweep is not a thing of its own that could get lost: it is the list of its recipes, and each is a run like
any other, with a key, events and a record. So cells fill as runs finish, what was computed before is there at
once, and a sweep that was cancelled goes on where it stopped. What runs have in common is shared by whoever
computes them (`engine.run_cache`); recipes of one pruner stand together for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import Fault, RecipeError
from engine.pruning.patterns import is_n_of_m
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin

MOST_RUNS = 500
"""More runs than this are refused: a slip of the hand would fill the queue for days."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        pruner, allocation: names in the registries.
        shape: a sparsity such as `0.5`, or a pattern such as `2:4`.
        recipe: what is to be run, pinned; None where it is refused.
        refusal: why it is refused, a sentence; else empty.
    """

    pruner: str
    allocation: str
    shape: str
    seed: int
    recipe: Recipe | None
    refusal: str = ""


def sweep(
    base: Recipe,
    pruners: Sequence[str],
    shapes: Sequence[str],
    *,
    allocations: Sequence[str] = ("uniform",),
    seeds: Sequence[int] = (0,),
) -> tuple[Cell, ...]:
    """The cells of a sweep, pruner by pruner; those that no recipe can be made of say why.

    Args:
        base: model, texts, windows, device: all that the runs have in common.
        pruners: presets.
        shapes: sparsities as text (`0.5`), or N:M patterns (`2:4`).

    Raises:
        RecipeError: a name that is no pruner, a list that is empty, or more than `MOST_RUNS` runs.
    """
    if unknown := [name for name in pruners if name not in PRESETS]:
        raise RecipeError([Fault("pruners", PRESETS.unknown(unknown[0]))])
    count = len(pruners) * len(shapes) * len(allocations) * len(seeds)
    if not count:
        raise RecipeError(
            [
                Fault(
                    "sweep",
                    "a sweep needs at least one pruner, one sparsity, one top-up and one seed; choose some of each.",
                )
            ]
        )
    if count > MOST_RUNS:
        raise RecipeError(
            [
                Fault(
                    "sweep",
                    f"{count:,} runs were asked for, but a sweep has at most {MOST_RUNS}; choose fewer of something.",
                )
            ]
        )
    common = {
        name: getattr(base, name)
        for name in SHARED
        if getattr(base, name) is not None or name in ("evaluation", "length")
    }
    return tuple(
        _cell(common, pruner, allocation, shape, seed)
        for pruner in pruners
        for allocation in allocations
        for shape in shapes
        for seed in seeds
    )


SHARED = (
    "model",
    "revision",
    "dtype",
    "device",
    "residence",
    "calibration",
    "evaluation",
    "samples",
    "length",
)
"""The fields of a recipe that all runs of a sweep take from its base."""


def _cell(common: dict[str, object], pruner: str, allocation: str, shape: str, seed: int) -> Cell:
    how = {"pattern": shape} if is_n_of_m(shape) else {"sparsity": shape}
    try:
        recipe = pin(
            Recipe.build({**common, "pruner": pruner, "allocation": allocation, "seed": seed, **how})
        )
    except RecipeError as error:
        return Cell(pruner, allocation, shape, seed, None, " ".join(fault.message for fault in error.faults))
    return Cell(pruner, allocation, shape, seed, recipe)
