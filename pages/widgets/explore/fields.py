"""A recipe as the flat fields of a form: what the widgets hold, what the address carries, and what
`Recipe.build` is given.

A field is a recipe's field or a method's parameter as `method.parameter`. Two things differ from a recipe:
`group` is None where it is the score's own default, and the parameters of methods that are not chosen keep
their values, so that going back to one finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import Fault, RecipeError
from engine.models.shape import ModelSummary
from engine.pruning.axes import AXES
from engine.pruning.patterns import UNSTRUCTURED, make_pattern
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Parameter
from engine.validation import chosen_methods, default_group, faults_against

Fields = dict[str, Any]

PLAIN = (
    "model", "revision", "score", "update", "refinement", "pattern", "sparsity", "group", "permutation", "allocation", "calibration", "evaluation",
    "samples", "length", "seed", "tasks", "task_limit", "device", "dtype", "residence",
)  # fmt: skip
PRUNER = ("score", "update", "refinement")


@dataclass(frozen=True)
class Checked:
    """Fields with what is wrong with them: a recipe, or faults by field."""

    fields: Fields
    recipe: Recipe | None = None
    faults: dict[str, list[str]] = field(default_factory=dict)


def parameters() -> dict[str, Parameter]:
    """Every parameter of every method as `method.parameter`."""
    methods = [method for registry in AXES.values() for method in registry.values()]
    return {
        f"{method.name}.{parameter.name}": parameter for method in methods for parameter in method.parameters
    }


def defaults() -> Fields:
    """The preset first run."""
    return fields_of(Recipe.build())


def fields_of(recipe: Recipe) -> Fields:
    """The fields of a recipe, pinned or not: what a file's or directory's fingerprint says is left out, for
    it will be taken anew.
    """
    fields = {name: getattr(recipe, name) for name in PLAIN}
    if recipe.model == "demo" or Path(recipe.model).is_absolute():
        fields["revision"] = None
    if recipe.group == default_group(recipe.model_dump()):
        fields["group"] = None
    fields["permutation"] = recipe.permutation or "none"
    settings = {name: parameter.default for name, parameter in parameters().items()}
    return fields | settings | recipe.settings


def pruner_of(fields: Fields) -> str:
    """The preset that the choices on the axes are, or `custom`."""
    mine = {axis: fields[axis] for axis in PRUNER}
    return next((preset.name for preset in PRESETS.values() if preset.choices == mine), "custom")


def relevant(fields: Fields) -> list[str]:
    """The fields that decide something: an N:M pattern has its own sparsity and groups, and only chosen
    methods have parameters.
    """
    idle = ("permutation",) if is_unstructured(fields["pattern"]) else ("sparsity", "group")
    if not fields["tasks"]:
        idle = (*idle, "task_limit")
    plain = [name for name in PLAIN if name not in idle]
    return plain + [
        f"{method.name}.{parameter.name}"
        for method in chosen_methods(fields)
        for parameter in method.parameters
    ]


def is_unstructured(pattern: str) -> bool:
    """Whether the pattern leaves the sparsity open; a pattern that cannot be read does not."""
    return pattern == UNSTRUCTURED


def implied_sparsity(pattern: str) -> float | None:
    """The sparsity of an N:M pattern, None where it leaves it open or cannot be read."""
    try:
        return make_pattern(pattern).fixed_sparsity
    except ValueError:
        return None


def given(fields: Fields) -> dict[str, Any]:
    """What `Recipe.build` is given."""
    chosen = {name: fields[name] for name in relevant(fields) if name != "revision" or fields[name]}
    settings = {name: chosen.pop(name) for name in list(chosen) if name in parameters()}
    return {**chosen, "settings": settings}


def check(fields: Fields, summary: ModelSummary | None, known: Sequence[Fault] = ()) -> Checked:
    """Build the recipe and hold it against the model's shape where that is known; `known` are faults that
    were found elsewhere.
    """
    recipe, faults = _build(fields)
    faults = [*known, *faults]
    if summary is not None:
        rest = (
            recipe
            or _build(
                fields | {name: value for name, value in defaults().items() if name in map(_field, faults)}
            )[0]
        )
        faults += (
            []
            if rest is None
            else faults_against(rest.model_dump(), summary.widths, summary.sizes, summary.context_length)
        )
    found: dict[str, list[str]] = {}
    for fault in faults:
        found.setdefault(_field(fault), []).append(_sentence(fault.message))
    return Checked(fields, None if found else recipe, found)


def _build(fields: Fields) -> tuple[Recipe | None, list[Fault]]:
    try:
        return Recipe.build(given(fields)), []
    except RecipeError as error:
        return None, list(error.faults)


def _field(fault: Fault) -> str:
    return fault.field.removeprefix("settings.")


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]
