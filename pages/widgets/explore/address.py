"""The recipe in the address: `?pruner=magnitude&sparsity=0.6`. Names are those of the command line, and only
what differs from the default is written.

While a run is shown, fields that differ from that run are written too, so that a reload restores the same
form next to the same run. Each mistake in an address is reported, and the rest of the address is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import RecipeError
from engine.evaluation.tasks.catalogue import TASKS
from engine.export.command_line import names_in
from engine.pruning.axes import AXES
from engine.pruning.recommendations import resolve
from engine.recipe import Recipe
from engine.recipe.validation import simplest
from pages.widgets.explore.fields import PLAIN, PRUNER_AXES, Fields, parameters, pruner_of, relevant

RUN = "run"
FOCUS = "focus"
REPLAY = "replay"
WITH = "with"
LONGEST = 100
"""Characters of a value that a message quotes."""
NOT_FIELDS = (RUN, FOCUS, REPLAY, WITH, "present", "talk", "room", "notes")
"""Parameters that are not recipe fields: the run on display, the part of it that is shown, the position of
its replay, the run that it is compared with, and the talk that is presented.
"""


def write(fields: Fields, bases: list[Fields]) -> dict[str, str]:
    """Return the parameters that turn any of the bases into these fields."""
    differs = {
        name: fields[name] for name in relevant(fields) if any(base[name] != fields[name] for base in bases)
    }
    pruner = pruner_of(fields)
    # A preset's name replaces its axes, also if only one of them differs.
    if pruner != "custom" and any(name in differs for name in PRUNER_AXES):
        rest = {name: value for name, value in differs.items() if name not in PRUNER_AXES}
        differs = {"pruner": pruner} | rest
    return {name: _to_text(value) for name, value in differs.items()}


def read(query: Mapping[str, str], base: Fields) -> tuple[Fields, list[str]]:
    """Return the base updated by the address, and a message for each mistake in it."""
    fields, complaints = dict(base), []
    # The pruner first: the axes that follow may override what it sets.
    for name, text in sorted(query.items(), key=lambda item: item[0] != "pruner"):
        if name in NOT_FIELDS:
            continue
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        try:
            fields |= _read_one(name, text, {**base, **query})
        except RecipeError as error:
            complaints += [f"The address sets {name} = {shown}: {fault.message}" for fault in error.faults]
        except KeyError:
            complaints.append(f"The address has {name} = {shown}, but no such recipe field exists; ignored.")
    return fields, complaints


def _read_one(name: str, text: str, context: Mapping[str, Any]) -> Fields:
    """Return the fields that one parameter sets.

    Args:
        context: the form's other fields, for a pruner that depends on the sparsity; unchecked.

    Raises:
        RecipeError: the value is not valid.
        KeyError: no field has that name.
    """
    # Settings are accepted only for methods that the recipe chooses, so the method is chosen with its value.
    if name in parameters():
        method = name.split(".", maxsplit=1)[0]
        axis = next(axis for axis, registry in AXES.items() if method in registry)
        value = parameters()[name].parse(text)
        return {name: Recipe.build({axis: method, "settings": {name: value}}).settings[name]}
    if name == "pruner":
        Recipe.build(pruner=text)
        preset = resolve(text, context)
        return {"bias": "keep", **preset.choices, **({"pattern": preset.pattern} if preset.pattern else {})}
    if name not in PLAIN:
        raise KeyError(name)
    # Each value is checked alone. Some are valid only with an N:M pattern or with tasks, so these are added;
    # whether the value fits the rest of the form is checked there.
    needed: dict[str, Any] = {"pattern": "2:4"} if name in ("score", "permutation") else {}
    needed |= {"tasks": tuple(TASKS)} if name == "task_limit" else {}
    return {name: getattr(Recipe.build({name: _from_text(name, text), **needed}), name)}


def _from_text(name: str, text: str) -> Any:
    if name in ("evaluation", "tasks"):
        names = names_in(text)
        return names if name == "tasks" else simplest(names)
    if name == "task_limit" and text == "none":  # all examples
        return None
    return None if text in ("none", "auto") and name in ("group", "revision", "length") else text


def _to_text(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, (list, tuple)):
        return ",".join(item if isinstance(item, str) else f"{item:g}" for item in value)
    return str(value)
