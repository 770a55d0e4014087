"""Sweeps: every pruner at every sparsity, allocation and seed, as plain recipes.

A sweep is just a list of recipes, and each is a run like any other, with a key, events and a record. So cells
fill as runs finish, results that exist are shown immediately, and a cancelled sweep resumes where it stopped.
Runs share the loaded model, the windows and the dense pass through `engine.run_cache`; that is why the
recipes of one pruner are consecutive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import Fault, RecipeError
from engine.pruning.patterns import is_n_of_m
from engine.pruning.recommendations import all_pruners, resolve
from engine.recipe import Recipe, pin
from engine.registry import unknown_name

MOST_RUNS = 500
"""Larger sweeps are rejected: a typing error would fill the queue for days."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        pruner, allocation: names in the registries.
        shape: a sparsity such as `0.5`, or a pattern such as `2:4`.
        recipe: the recipe to run, pinned; None if it is invalid.
        refusal: why it is invalid, a sentence; else empty.
    """

    pruner: str
    allocation: str
    shape: str
    seed: int
    recipe: Recipe | None
    refusal: str = ""
    order: int = 0


def sweep(
    base: Recipe,
    pruners: Sequence[str],
    shapes: Sequence[str],
    *,
    allocations: Sequence[str] = ("uniform",),
    seeds: Sequence[int] = (0,),
    orders: int = 1,
) -> tuple[Cell, ...]:
    """Return the cells of a sweep, pruner by pruner; cells without a valid recipe say why.

    Args:
        base: model, texts, windows and device, which all runs have in common, and settings, which the runs
            with their methods have.
        pruners: names of presets or recommendations.
        shapes: sparsities as text (`0.5`), or N:M patterns (`2:4`).
        orders: how many orders of the same calibration windows each run is repeated in, itself included.

    Raises:
        RecipeError: an unknown pruner, an empty list, or more than `MOST_RUNS` runs.
    """
    if unknown := [name for name in pruners if name not in all_pruners()]:
        raise RecipeError([Fault("pruners", unknown_name("pruner", unknown[0], all_pruners()))])
    count = len(pruners) * len(shapes) * len(allocations) * len(seeds) * max(1, orders)
    if not count:
        raise RecipeError([Fault("sweep", EMPTY)])
    if count > MOST_RUNS:
        message = f"these choices make {count:,} runs, but a sweep has at most {MOST_RUNS}; choose fewer."
        raise RecipeError([Fault("sweep", message)])
    # `evaluation` and `length` may be None; any other field that is None is left to its default.
    common = {
        name: getattr(base, name)
        for name in SHARED
        if getattr(base, name) is not None or name in ("evaluation", "length")
    }
    return tuple(
        _cell(
            {**common, "settings": _settings(base, pruner, allocation, shape), "order": order},
            pruner,
            allocation,
            shape,
            seed,
        )
        # The pruner is the outermost loop, so that consecutive runs share most of what is cached.
        for pruner in pruners
        for allocation in allocations
        for shape in shapes
        for seed in seeds
        for order in range(max(1, orders))
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
"""Fields of a recipe that all runs of a sweep take from its base."""

EMPTY = "a sweep needs at least one pruner, one sparsity, one allocation and one seed; choose some of each."


def _settings(base: Recipe, pruner: str, allocation: str, shape: str) -> dict[str, object]:
    """Return the settings of the methods that a cell has."""
    methods = {allocation, *resolve(pruner, _target(shape)).choices.values()}
    return {name: value for name, value in base.settings.items() if name.partition(".")[0] in methods}


def _cell(common: dict[str, object], pruner: str, allocation: str, shape: str, seed: int) -> Cell:
    fields = {**common, "pruner": pruner, "allocation": allocation, "seed": seed, **_target(shape)}
    try:
        recipe = pin(Recipe.build(fields))
    except RecipeError as error:
        return Cell(pruner, allocation, shape, seed, None, " ".join(fault.message for fault in error.faults))
    return Cell(pruner, allocation, shape, seed, recipe, order=recipe.order)


def _target(shape: str) -> dict[str, str]:
    """Return the fields of a recipe that a shape sets: a pattern implies its sparsity."""
    return {"pattern" if is_n_of_m(shape) else "sparsity": shape}
