"""The controls that a form is made of, and how they hold a recipe's fields.

Widget values live in the session under `form.<field>`; a widget that is not on the page loses its value
there, so the fields themselves are the memory and widgets are seeded from them. What is wrong with a field is
said beneath that field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine.recipe import Recipe
from engine.registry import Method
from engine.validation import simplest
from pages.widgets.explore.fields import Checked, Fields, parameters, pruner_of

OWN = "auto"
"""What stands in a selectbox for a group that is None: the score's own."""
SEVERAL = ("evaluation", "tasks")
"""Fields that hold any number of names."""


def to_widgets(fields: Fields) -> None:
    """Make all widgets show these fields."""
    put(fields)
    st.session_state[key("pruner")] = pruner_of(fields)


def from_widgets(fields: Fields) -> Fields:
    """The fields as the widgets have them; a field whose widget is not there keeps its value, and its widget
    finds it again.
    """
    current = {
        name: _held(name, st.session_state[key(name)]) if key(name) in st.session_state else value
        for name, value in fields.items()
    }
    for name, value in current.items():
        st.session_state.setdefault(key(name), _shown(name, value))
    st.session_state.setdefault(key("pruner"), pruner_of(current))
    return current


def put(fields: Fields) -> None:
    """Have the widgets of some fields show other values when the page runs again; for callbacks."""
    for name, value in fields.items():
        st.session_state[key(name)] = _shown(name, value)


def choice(label: str, name: str, options: list[Any], checked: Checked, **more: Any) -> Any:
    """One of the options, or what a person typed before."""
    value = st.session_state[key(name)]
    if value not in options:
        options = [*options, value]  # one that a person typed
    chosen = st.selectbox(label, options, key=key(name), **more)
    say_faults(name, checked)
    return chosen


def several(label: str, name: str, options: list[str], checked: Checked, **more: Any) -> list[str]:
    """Any number of names, also ones that are typed; no name stands for nothing."""
    typed = [item for item in st.session_state[key(name)] if item not in options]
    chosen: list[str] = st.multiselect(label, [*options, *typed], key=key(name), **more)
    say_faults(name, checked)
    return chosen


def number(
    label: str, name: str, checked: Checked, help: str | None = None, placeholder: str | None = None
) -> None:
    """A whole number within the recipe's bounds; empty where the recipe has a default of its own, which
    `placeholder` names.
    """
    bounds = {
        side: int(limit)
        for item in Recipe.model_fields[name].metadata
        for side in ("ge", "le")
        if (limit := getattr(item, side, None)) is not None
    }
    st.number_input(
        label,
        bounds["ge"],
        min(bounds["le"], 2**53 - 1),
        key=key(name),
        step=1,
        help=help,
        placeholder=placeholder,
    )
    say_faults(name, checked)


def say_faults(name: str, checked: Checked) -> None:
    """What is wrong with a field, a sentence each."""
    for sentence in checked.faults.get(name, []):
        st.error(sentence, icon=":material/error:")


def title_in(registry: Mapping[str, Method]) -> Callable[[str], str]:
    """How a name of the registry is shown."""
    return lambda name: registry[name].title


def explained(registry: Mapping[str, Method]) -> str:
    """All that can be chosen, a line each; the rest is on the page of the methods."""
    return "  \n".join(f"**{method.title}**: {method.explanation}" for method in registry.values())


def key(name: str) -> str:
    """Where a field's widget keeps its value in the session."""
    return f"form.{name}"


def _shown(name: str, value: Any) -> Any:
    """A field's value as its widget shows it."""
    if name == "sparsity":
        return round(100 * value, 6)
    if name == "revision":
        return value or ""
    if name in parameters() and parameters()[name].kind == "ratios":
        return ", ".join(f"{item:g}" for item in value) if isinstance(value, (list, tuple)) else str(value)
    if name in SEVERAL:
        return [value] if isinstance(value, str) else list(value or ())
    if value is None and name == "group":
        return OWN
    return str(value) if name == "group" else value


def _held(name: str, value: Any) -> Any:
    """The field's value that a widget shows."""
    if name == "sparsity":
        return round(value / 100, 8)
    if name == "revision":
        return value.strip() or None
    if name in parameters() and parameters()[name].kind == "ratios":
        return parameters()[name].parse(value) if value.strip() else ()
    if name in SEVERAL:
        names = tuple(item.strip() for item in value)
        return names if name == "tasks" else simplest(names)
    if name == "group" and value == OWN:
        return None
    return value.strip() if isinstance(value, str) else value


def options_of(name: str) -> list[str]:
    """What a field of a recipe may be."""
    return list(Recipe.model_fields[name].annotation.__args__)  # type: ignore[union-attr]
