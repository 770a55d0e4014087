"""The address and the recipe: `?pruner=magnitude&sparsity=0.6`. Names are those of the command line; only
what differs is written.

A link written while a run is shown also names the fields that differ from that run, so that a reload gives
the same form beside the same run. What an address gets wrong is said in a sentence each, and the rest of it
is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import RecipeError
from engine.evaluation.tasks.catalogue import TASKS
from engine.export.command_line import names_in
from engine.pruning.axes import AXES
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.validation import simplest
from pages.widgets.explore.fields import PLAIN, PRUNER, Fields, parameters, pruner_of, relevant

RUN = "run"
FOCUS = "focus"
BESIDE = (RUN, FOCUS, "replay", "present")
"""Parameters that are no fields of a recipe: the run that is shown, which part of it, where its replay
stands, and the place in a talk.
"""


def write(fields: Fields, bases: list[Fields]) -> dict[str, str]:
    """The parameters that turn any of the bases into these fields."""
    differs = {
        name: fields[name] for name in relevant(fields) if any(base[name] != fields[name] for base in bases)
    }
    pruner = pruner_of(fields)
    if pruner != "custom" and any(name in differs for name in PRUNER):
        differs = {"pruner": pruner} | {name: value for name, value in differs.items() if name not in PRUNER}
    return {name: _text(value) for name, value in differs.items()}


def read(parameters_: Mapping[str, str], base: Fields) -> tuple[Fields, list[str]]:
    """The base with what the address says, and a sentence for each thing that it gets wrong."""
    fields, complaints = dict(base), []
    for name, text in sorted(
        parameters_.items(), key=lambda item: item[0] != "pruner"
    ):  # the axes may change what a pruner sets
        if name in BESIDE:
            continue
        try:
            fields |= _read_one(name, text)
        except RecipeError as error:
            complaints += [f"The address asks for {name} = {text}: {fault.message}" for fault in error.faults]
        except KeyError:
            complaints.append(
                f"The address has {name} = {text}, but no part of a recipe has that name; it is ignored."
            )
    return fields, complaints


def _read_one(name: str, text: str) -> Fields:
    if name in parameters():
        method = name.split(".", maxsplit=1)[0]
        axis = next(axis for axis, registry in AXES.items() if method in registry)
        value = parameters()[name].parse(text)
        return {name: Recipe.build({axis: method, "settings": {name: value}}).settings[name]}
    if name == "pruner":
        Recipe.build(pruner=text)
        preset = PRESETS[text]
        return {**preset.choices, **({"pattern": preset.pattern} if preset.pattern else {})}
    if name not in PLAIN:
        raise KeyError(name)
    value = _value(name, text)
    where: dict[str, Any] = (
        {"pattern": "2:4"} if name in ("score", "permutation") else {}
    )  # some are for N:M alone; whether they fit the rest is the form's matter
    where |= {"tasks": tuple(TASKS)} if name == "task_limit" else {}
    return {name: getattr(Recipe.build({name: value, **where}), name)}


def _value(name: str, text: str) -> Any:
    if name in ("evaluation", "tasks"):
        names = names_in(text)
        return names if name == "tasks" else simplest(names)
    if name == "task_limit" and text == "none":
        return None
    return None if text in ("none", "auto") and name in ("group", "revision", "length") else text


def _text(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, (list, tuple)):
        return ",".join(item if isinstance(item, str) else f"{item:g}" for item in value)
    return str(value)
