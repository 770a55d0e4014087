"""The differences between two recipes, per field and parameter, under the command line's names."""

from __future__ import annotations

from dataclasses import dataclass

from engine.recipe import Recipe

ABSENT = "—"


@dataclass(frozen=True)
class Difference:
    """A field that differs, both values as text; `ABSENT` for a parameter that a recipe lacks."""

    field: str
    one: str
    other: str


def differences(one: Recipe, other: Recipe) -> list[Difference]:
    """Return all fields in which two recipes differ, in the recipe's order.

    The residence is left out, because it does not change the result. Of method files the content counts.
    """
    first, second = _flat(one), _flat(other)
    names = dict.fromkeys([*first, *second])  # an ordered set
    return [
        Difference(name, first.get(name, ABSENT), second.get(name, ABSENT))
        for name in names
        if first.get(name, ABSENT) != second.get(name, ABSENT)
    ]


def _flat(recipe: Recipe) -> dict[str, str]:
    # The settings follow one by one.
    fields = recipe.model_dump(exclude={"residence", "settings", "digests", "method_files"})
    parameters = recipe.settings
    return {
        **{name: _text(value) for name, value in fields.items()},
        **{f"{axis} file": str(origin) for axis, origin in recipe.origins.items()},
        **{name: _text(value) for name, value in parameters.items()},
    }


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
