"""The runs that a run is compared with first: its recipe with the uniform allocation, and the same sparsity
with another pruner. They need not exist yet: a recipe says what to compute, and its key where the result is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.errors import RecipeError
from engine.pruning.presets import PRESETS, PRUNER_FIELDS
from engine.recipe import Recipe

FORMULA = "formula"
FIXED = (
    "calibration",
    "samples",
    "length",
    "evaluation",
    "pattern",
    "sparsity",
    "allocation",
    "seed",
    "order",
)
"""What a run with another pruner has in common with the run that it is compared with, besides the model."""


@dataclass(frozen=True)
class Alternatives:
    """The recipes to compare a run with.

    Attributes:
        uniform: the same recipe with the uniform allocation; None if it has that already.
        pruners: the same with each of the other pruners that it can have. A formula is one only of a run
            that has a formula: the default one stands for no pruner.
    """

    uniform: Recipe | None
    pruners: tuple[Recipe, ...]

    def recipe(self, key: str) -> Recipe | None:
        """Return the one with this key."""
        return next((one for one in (self.uniform, *self.pruners) if one and one.key == key), None)


def alternatives(recipe: Recipe) -> Alternatives:
    """Return the recipes to compare the run of a pinned recipe with."""
    uniform = None if recipe.allocation == "uniform" else _changed(recipe, allocation="uniform")
    others = [
        _changed(recipe, **{"bias": "keep", **preset.choices})
        for preset in PRESETS.values()
        if preset.name != recipe.pruner and (preset.score != FORMULA or recipe.score == FORMULA)
    ]
    return Alternatives(uniform, tuple(one for one in others if one is not None))


def is_other_pruner(recipe: Recipe, other: Recipe) -> bool:
    """Return whether two recipes differ in the pruner and agree in what it is compared under."""
    return (
        recipe.model_identity == other.model_identity
        and all(getattr(recipe, name) == getattr(other, name) for name in FIXED)
        and any(getattr(recipe, name) != getattr(other, name) for name in PRUNER_FIELDS)
    )


def _changed(recipe: Recipe, **changes: Any) -> Recipe | None:
    """Return the pinned recipe with other methods, None if these do not go together with the rest."""
    fields = recipe.model_dump()
    changed = {axis for axis, value in changes.items() if fields[axis] != value}
    if changed & set(PRUNER_FIELDS):
        fields["group"] = None  # the usual one of the other pruner
    kept = _methods_of(fields, set(fields) - changed)
    fields["settings"] = {
        name: value for name, value in recipe.settings.items() if name.split(".")[0] in kept
    }
    # Of texts and of methods that stay, the fingerprints stay too, so that no file is read again.
    pinned = {
        name: {axis: value for axis, value in fields.pop(name).items() if axis not in changed}
        for name in ("digests", "method_files")
    }
    try:
        return Recipe.build(fields | changes).model_copy(update=pinned)
    except RecipeError:
        return None


def _methods_of(fields: dict[str, Any], axes: Iterable[str]) -> set[str]:
    return {fields[axis] for axis in axes if axis in ("score", "allocation", "update", "refinement")}
