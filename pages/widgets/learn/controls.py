"""What a lesson lets one move. All of it stands in the address under its key, `LESSON.what`, and is locked by
`?lock=1`.

`?lock=all` locks the way between the steps as well. A value that the address gets wrong is the default.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

LOCK = "lock"


def locked() -> bool:
    """Whether a teacher has locked the controls."""
    return st.query_params.get(LOCK) in ("1", "all")


def way_locked() -> bool:
    """Whether a teacher has locked the way between the steps too."""
    return st.query_params.get(LOCK) == "all"


def slider(
    label: str,
    least: float,
    most: float,
    default: float,
    step: float,
    key: str,
    *,
    unit: str | None = None,
    about: str | None = None,
) -> float:
    """A number by a slider; all four of them whole numbers, or none. `unit` is a format like `%d %%`, `about`
    a help text.
    """
    return float(
        st.slider(
            label,
            least,
            most,
            default,
            step,
            unit,
            key=key,
            help=about,
            disabled=locked(),
            bind="query-params",
        )
    )


def choice(
    label: str, options: Sequence[str], key: str, *, default: str | None = None, about: str | None = None
) -> str:
    """One of a few options, all of them seen; the first unless there is another default."""
    first = options[0] if default is None else default
    return str(
        st.segmented_control(
            label,
            options,
            default=first,
            required=True,
            key=key,
            help=about,
            disabled=locked(),
            bind="query-params",
        )
    )


def select(
    label: str, options: Sequence[str], key: str, *, default: str | None = None, about: str | None = None
) -> str:
    """One of many options; the first unless there is another default."""
    first = 0 if default is None else list(options).index(default)
    return str(
        st.selectbox(label, options, first, key=key, help=about, disabled=locked(), bind="query-params")
    )


def stops(label: str, values: Sequence[int], key: str, *, default: int, about: str | None = None) -> int:
    """One of some whole numbers that grow unevenly, by a slider."""
    return int(
        st.select_slider(label, values, default, key=key, help=about, disabled=locked(), bind="query-params")
    )


def number(label: str, least: int, most: int, default: int, key: str, *, about: str | None = None) -> int:
    """A whole number, typed."""
    return int(
        st.number_input(
            label, least, most, default, key=key, help=about, disabled=locked(), bind="query-params"
        )
    )


def toggle(label: str, key: str, *, default: bool = False, about: str | None = None) -> bool:
    """On or off."""
    return bool(st.toggle(label, default, key=key, help=about, disabled=locked(), bind="query-params"))
