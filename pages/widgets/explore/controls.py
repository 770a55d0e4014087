"""The widgets of the recipe form, and how they hold the fields of a recipe.

A widget's value lives in the session under `form.<field>`. Streamlit drops the value of a widget that is not
on the page, so the fields themselves are the source of truth and the widgets are filled from them. Errors
appear below the field that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.pruning.allocations.manual import flat
from engine.recipe import Recipe
from engine.recipe.validation import simplest
from engine.registry import Method, Registry
from pages.widgets.explore.fields import (
    RATIOS,
    Checked,
    Fields,
    followed,
    parameter_of,
    parameters,
    pruner_of,
    stands_for,
)
from pages.widgets.explore.widget_values import set_value
from pages.widgets.literal import literal

SCORE_DEFAULT = "auto"
"""The selectbox option for a group of None: the score's own default."""
DEFERRED = "form.deferred"
LISTS = ("evaluation", "tasks")
"""Fields that hold any number of names."""


def key(name: str) -> str:
    """Return the session key of a field's widget."""
    return f"form.{name}"


def to_widgets(fields: Fields, pruner: str | None) -> None:
    """Make all widgets show these fields, under a recommendation if `pruner` is one that chooses them."""
    set_fields({**fields, "pruner": pruner if stands_for(pruner, fields) else pruner_of(fields)})


def chosen_pruner() -> str | None:
    """Return what the widget of the pruner shows, None before it is filled."""
    pruner: str | None = st.session_state.get(key("pruner"))
    return pruner


def set_fields(fields: Fields) -> None:
    """Set the widgets of some fields, or that of the pruner, before they are drawn; for callbacks too."""
    for name, value in fields.items():
        set_value(key(name), _to_widget(name, value))


def send_widgets(fields: Fields) -> None:
    """Have the next run of the page send the widgets' values to the browser once more.

    Streamlit sends a value only in the run of the page that sets it. A widget that this run did not come to
    would show its default, and the browser would send that back as the user's choice.
    """
    for name in (*fields, "pruner"):
        if key(name) in st.session_state:
            st.session_state[key(name)] = st.session_state[key(name)]


def set_fields_later(fields: Fields) -> None:
    """Set fields whose widgets are already drawn: `open_session` does it when the page runs again."""
    st.session_state[DEFERRED] = fields


def from_widgets(fields: Fields) -> Fields:
    """Return the fields with the values of the widgets. The methods follow a recommended pruner when the
    sparsity or the pattern changes.

    A field without a widget keeps its value, which its widget gets when it comes back.
    """
    current = {
        name: _from_widget(name, st.session_state[key(name)]) if key(name) in st.session_state else value
        for name, value in fields.items()
    }
    for name, value in current.items():
        # Streamlit has dropped it, or it is new
        st.session_state.setdefault(key(name), _to_widget(name, value))
    st.session_state.setdefault(key("pruner"), pruner_of(current))
    choices = followed(chosen_pruner(), current)
    if not choices.items() <= current.items():
        set_fields(choices)
    return current | choices


def as_widgets_show(fields: Fields) -> Fields:
    """Return fields as their widgets give them back, which cannot hold every value of an old run."""
    return {name: _from_widget(name, _to_widget(name, value)) for name, value in fields.items()}


def adopt_parameters(fields: Fields) -> None:
    """Give parameters that a method file has got or changed since the last run of the page their defaults, in
    `fields` and in their widgets.
    """
    for name, parameter in parameters().items():
        value = fields.get(name)
        fits = value in parameter.choices if parameter.kind == "choice" else not isinstance(value, str)
        if name not in fields or not (fits or parameter.kind in ("ratios", "text")):
            fields[name] = parameter.default
            set_fields({name: parameter.default})


def start_manual(fields: Fields, sizes: Sequence[int]) -> None:
    """Fill empty manual ratios with the target sparsity, in `fields` and in their widget.

    Args:
        sizes: prunable weights of each block.
    """
    if fields["allocation"] == "manual" and not fields[RATIOS]:  # called before the widgets are drawn
        fields[RATIOS] = flat(sizes, fields["sparsity"])
        set_fields({RATIOS: fields[RATIOS]})


def select(label: str, name: str, options: list[Any], checked: Checked, **more: Any) -> Any:
    """Draw a selectbox; a value that was typed earlier is an option too."""
    value = st.session_state[key(name)]
    if value not in options:
        options = [*options, value]
    chosen = st.selectbox(label, options, key=key(name), **more)
    show_faults(name, checked)
    return chosen


def multiselect(label: str, name: str, options: list[str], checked: Checked, **more: Any) -> list[str]:
    """Draw a list of names, including typed ones; an empty list stands for nothing."""
    # Streamlit rejects values that are not options
    typed = [item for item in st.session_state[key(name)] if item not in options]
    chosen: list[str] = st.multiselect(label, [*options, *typed], key=key(name), **more)
    show_faults(name, checked)
    return chosen


def number(
    label: str, name: str, checked: Checked, help: str | None = None, placeholder: str | None = None
) -> None:
    """Draw a whole number within the recipe's bounds; empty means the default that `placeholder` names."""
    bounds = {
        side: int(limit)
        for item in Recipe.model_fields[name].metadata
        for side in ("ge", "le")
        if (limit := getattr(item, side, None)) is not None
    }
    most = min(bounds["le"], 2**53 - 1)  # the largest integer that a browser holds exactly
    st.number_input(label, bounds["ge"], most, key=key(name), step=1, help=help, placeholder=placeholder)
    show_faults(name, checked)


def show_faults(name: str, checked: Checked) -> None:
    """Show the errors of a field."""
    for message in checked.faults.get(name, []):
        st.error(literal(message), icon=":material/error:")


def title_in(registry: Registry[Any]) -> Callable[[str], str]:
    """Return the function from a name to the title of the method in the registry."""
    return lambda name: str(registry.named(name).title)


def explained(registry: Mapping[str, Method]) -> str:
    """Return one line of help for each entry; the Methods page has the details."""
    return "  \n".join(f"**{method.title}**: {method.explanation}" for method in registry.values())


def options_of(name: str) -> list[str]:
    """Return the values that a recipe field of a `Literal` type accepts."""
    return list(Recipe.model_fields[name].annotation.__args__)  # type: ignore[union-attr]


def _is_ratios(name: str) -> bool:
    parameter = parameter_of(name)
    return parameter is not None and parameter.kind == "ratios"


def _to_widget(name: str, value: Any) -> Any:
    """Return a field's value as its widget shows it."""
    if name == "sparsity":
        return round(100 * value, 6)  # the slider counts in percent
    if name == "revision":
        return value or ""
    if _is_ratios(name):
        return ", ".join(f"{item:g}" for item in value) if isinstance(value, (list, tuple)) else str(value)
    if name in LISTS:
        return [value] if isinstance(value, str) else list(value or ())
    if name == "group":
        return SCORE_DEFAULT if value is None else str(value)
    return value


def _from_widget(name: str, value: Any) -> Any:
    """Return the field's value that a widget shows."""
    if name == "sparsity":
        return round(value / 100, 8)  # float noise would give the recipe another key
    if name == "revision":
        return value.strip() or None
    if _is_ratios(name):
        return parameters()[name].parse(value) if value.strip() else ()
    if name in LISTS:
        names = tuple(item.strip() for item in value)
        return names if name == "tasks" else simplest(names)
    if name == "group" and value == SCORE_DEFAULT:
        return None
    return value.strip() if isinstance(value, str) else value
