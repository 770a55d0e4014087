"""In what two recipes differ, field by field and parameter by parameter, in the command line's names."""

from __future__ import annotations

from dataclasses import dataclass

from engine.recipe import Recipe

UNSAID = "—"


@dataclass(frozen=True)
class Difference:
    """A field that two recipes do not share, as text; a parameter that one of them does not have is `UNSAID`."""

    field: str
    one: str
    other: str


def differences(one: Recipe, other: Recipe) -> list[Difference]:
    """All fields in which two recipes differ, in the recipe's order; how a model is held is left out, for it
    decides nothing.
    """
    first, second = _flat(one), _flat(other)
    names = dict.fromkeys([*first, *second])
    return [
        Difference(name, first.get(name, UNSAID), second.get(name, UNSAID))
        for name in names
        if first.get(name, UNSAID) != second.get(name, UNSAID)
    ]


def _flat(recipe: Recipe) -> dict[str, str]:
    fields = recipe.model_dump(exclude={"residence", "settings", "digests"})
    parameters = recipe.settings
    return {
        **{name: _text(value) for name, value in fields.items()},
        **{name: _text(value) for name, value in parameters.items()},
    }


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
