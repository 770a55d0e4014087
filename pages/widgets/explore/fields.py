"""A recipe as the flat fields of a form: what the widgets hold and the address carries, and the arguments of
`Recipe.build` made from them.

A field is a field of the recipe, or a method's parameter as `method.parameter`. Two things differ from a
recipe: `group` is None for the score's own default, and parameters of methods that are not chosen keep their
values, so that they are still there when the method is chosen again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import Fault, RecipeError
from engine.models.known_files import KNOWN_FILES
from engine.models.shape import ModelSummary
from engine.pruning.axes import AXES
from engine.pruning.patterns import UNSTRUCTURED, make_pattern
from engine.pruning.presets import PRUNER_FIELDS, preset_of
from engine.pruning.recommendations import RECOMMENDATIONS, resolve
from engine.recipe import Recipe
from engine.recipe.validation import chosen_methods, default_group, faults_against
from engine.registry import Parameter

Fields = dict[str, Any]

PLAIN = (
    "model", "revision", "score", "update", "refinement", "bias", "pattern", "sparsity", "group",
    "permutation", "allocation", "calibration", "evaluation", "samples", "length", "seed", "order", "tasks",
    "task_limit", "device", "dtype", "residence",
)  # fmt: skip
"""Fields that are the recipe's own, as opposed to parameters of methods."""
PRUNER_AXES = ("score", "update", "refinement")
"""The axes that a preset pruner sets; it may also set the choice for the biases."""
RATIOS = "manual.ratios"
EXPRESSION = "formula.expression"


@dataclass(frozen=True)
class Checked:
    """Fields after validation: their recipe, or the messages of what is wrong by field."""

    fields: Fields
    recipe: Recipe | None = None
    faults: dict[str, list[str]] = field(default_factory=dict)


def parameters() -> dict[str, Parameter]:
    """Return every parameter of every method as `method.parameter`."""
    methods = [method for registry in AXES.values() for method in registry.values()]
    return {
        f"{method.name}.{parameter.name}": parameter for method in methods for parameter in method.parameters
    }


def parameter_of(name: str) -> Parameter | None:
    """Return the parameter with this name, without listing all of them; None if the field is no parameter."""
    method, _, own = name.rpartition(".")
    found = (
        parameter
        for registry in AXES.values()
        if method in registry
        for parameter in registry[method].parameters
        if parameter.name == own
    )
    return next(found, None)


def defaults() -> Fields:
    """Return the fields of the default recipe."""
    return fields_of(Recipe.build())


def fields_of(recipe: Recipe) -> Fields:
    """Return the fields of a recipe, pinned or not.

    The fingerprint that pinning adds for a file or directory is left out: it is computed again for the next
    run.
    """
    fields = {name: getattr(recipe, name) for name in PLAIN}
    # the revision is a fingerprint then, not a commit
    if recipe.model == "demo" or recipe.model in KNOWN_FILES or Path(recipe.model).is_absolute():
        fields["revision"] = None
    if recipe.group == default_group(recipe.model_dump()):
        fields["group"] = None
    fields["permutation"] = recipe.permutation or "none"
    # Parameters of all methods, with the recipe's values. A run of another version may have others.
    return fields | {
        name: recipe.settings[name]
        if name in recipe.settings and not parameter.fault(recipe.settings[name])
        else parameter.default
        for name, parameter in parameters().items()
    }


def pruner_of(fields: Fields) -> str:
    """Return the preset that makes the same choices on the axes, or `custom`."""
    return preset_of({name: fields[name] for name in PRUNER_FIELDS}) or "custom"


def followed(pruner: str | None, fields: Fields) -> Fields:
    """Return what a recommendation sets in these fields; nothing if `pruner` is none."""
    if pruner not in RECOMMENDATIONS:
        return {}
    return {"bias": "keep", **resolve(pruner, fields).choices}


def stands_for(pruner: str | None, fields: Fields) -> bool:
    """Return whether `pruner` is a recommendation that makes the choices of these fields."""
    choices = followed(pruner, fields)
    return bool(choices) and choices.items() <= fields.items()


def relevant(fields: Fields) -> list[str]:
    """Return the names of the fields that have an effect.

    An N:M pattern fixes the sparsity and the groups, and only chosen methods have parameters.
    """
    unused = {"permutation"} if is_unstructured(fields["pattern"]) else {"sparsity", "group"}
    if not fields["tasks"]:
        unused.add("task_limit")
    return [name for name in PLAIN if name not in unused] + [
        f"{method.name}.{parameter.name}"
        for method in chosen_methods(fields)
        for parameter in method.parameters
    ]


def is_unstructured(pattern: str) -> bool:
    """Return whether the pattern leaves the sparsity open; an unreadable pattern does not."""
    return pattern == UNSTRUCTURED


def implied_sparsity(pattern: str) -> float | None:
    """Return the sparsity that an N:M pattern fixes; None for an unstructured or unreadable one."""
    try:
        return make_pattern(pattern).fixed_sparsity
    except ValueError:
        return None


def check(fields: Fields, summary: ModelSummary | None, known: Sequence[Fault] = ()) -> Checked:
    """Build the recipe and check it against the model.

    Args:
        summary: the model's shape; None skips those checks.
        known: faults found elsewhere, reported along with the others.
    """
    recipe, faults = _build(fields)
    faults = [*known, *faults]
    if summary is not None:
        # With the faulty fields at their defaults, the valid rest can still be checked against the model.
        faulty = {_field(fault) for fault in faults}
        repaired = fields | {name: value for name, value in defaults().items() if name in faulty}
        checkable = recipe or _build(repaired)[0]
        if checkable is not None:
            faults += faults_against(
                checkable.model_dump(),
                summary.widths,
                summary.sizes,
                summary.context_length,
                summary.devices,
                has_biases=summary.has_biases,
            )
    messages: dict[str, list[str]] = {}
    for fault in faults:
        messages.setdefault(_field(fault), []).append(fault.message[:1].upper() + fault.message[1:])
    return Checked(fields, None if messages else recipe, messages)


def _build(fields: Fields) -> tuple[Recipe | None, list[Fault]]:
    chosen = {name: fields[name] for name in relevant(fields) if name != "revision" or fields[name]}
    settings = {name: chosen.pop(name) for name in list(chosen) if parameter_of(name)}
    try:
        return Recipe.build({**chosen, "settings": settings}), []
    except RecipeError as error:
        return None, list(error.faults)


def _field(fault: Fault) -> str:
    return fault.field.removeprefix("settings.")  # settings.METHOD.PARAMETER in a recipe
