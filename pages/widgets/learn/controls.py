"""The controls of a lesson. The address holds the value of each under its key, `LESSON.name`.

The text of an option is its value in the address, so rewording an option would break links to it.

`?lock=1` locks the controls; `?lock=all` also locks the navigation between steps. An invalid value in the
address is replaced by the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

from pages.widgets.recorder import recorder

LOCK = "lock"
Value = TypeVar("Value")


def controls_locked() -> bool:
    """Return whether a teacher has locked the controls."""
    return st.query_params.get(LOCK) in ("1", "all")


def navigation_locked() -> bool:
    """Return whether a teacher has also locked the navigation between steps."""
    return st.query_params.get(LOCK) == "all"


def _noted(label: str, value: Value) -> Value:
    """Return the value of a control, which a handout mentions."""
    if (sheet := recorder()) is not None:
        sheet.setting(label, value)
    return value


def slider(
    label: str,
    minimum: float,
    maximum: float,
    default: float,
    step: float,
    key: str,
    *,
    unit: str | None = None,
) -> float:
    """Draw a slider and return its number.

    Streamlit requires that the four numbers are all integers or all floats. `unit` is a format such as
    `%d points`.
    """
    value = st.slider(
        label,
        minimum,
        maximum,
        default,
        step,
        unit,
        key=key,
        disabled=controls_locked(),
        bind="query-params",
    )
    return _noted(label, float(value))


def choice(label: str, options: Sequence[str], key: str, *, default: str | None = None) -> str:
    """Draw a few options side by side and return the selected one; by default the first."""
    value = st.segmented_control(
        label,
        options,
        default=options[0] if default is None else default,
        required=True,
        key=key,
        disabled=controls_locked(),
        bind="query-params",
    )
    return _noted(label, str(value))


def select(label: str, options: Sequence[str], key: str) -> str:
    """Draw many options as a list and return the selected one; by default the first."""
    value = st.selectbox(label, options, 0, key=key, disabled=controls_locked(), bind="query-params")
    return _noted(label, str(value))


def stops(label: str, values: Sequence[int], key: str, *, default: int) -> int:
    """Draw a slider over unevenly spaced whole numbers and return the selected one."""
    value = st.select_slider(label, values, default, key=key, disabled=controls_locked(), bind="query-params")
    return _noted(label, int(value))


def number(
    label: str, minimum: int, maximum: int, default: int, key: str, *, help_text: str | None = None
) -> int:
    """Draw a field for a whole number and return the number."""
    value = st.number_input(
        label,
        minimum,
        maximum,
        default,
        key=key,
        help=help_text,
        disabled=controls_locked(),
        bind="query-params",
    )
    return _noted(label, int(value))


def toggle(label: str, key: str) -> bool:
    """Draw a switch, initially off, and return whether it is on."""
    is_on = bool(st.toggle(label, False, key=key, disabled=controls_locked(), bind="query-params"))
    _noted(label, "on" if is_on else "off")
    return is_on
