"""What helps to write a formula, wherever one is written: examples to start from, and the names and functions
as tables.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from engine.pruning.formulas.vocabulary import FUNCTIONS, NAMES

EXAMPLES = {
    "Wanda": "abs(W) * a",
    "RIA": "(abs(W) / col_sum(abs(W)) + abs(W) / row_sum(abs(W))) * a ** 0.5",
    "STADE": "abs(W) * var ** 0.5",
    "Both sides": "abs(W) * (a + b)",
    "Share of the row": "abs(W) * a / row_norm(abs(W) * a)",
    "Ranks": "row_rank(abs(W) * a) + col_rank(abs(W))",
    "Noise": "abs(W) * a * (0.9 + 0.2 * rand)",
}
"""Formulas to start from, by the labels of their buttons."""


def draw_examples(prefix: str, choose: Callable[[str], None], *, disabled: bool = False) -> None:
    """Draw a button per example.

    Args:
        prefix: of the buttons' keys, `PREFIX.LABEL`.
        choose: receives the formula of the button that was clicked.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Start from", width="content")
        for label, text in EXAMPLES.items():
            st.button(
                label,
                key=f"{prefix}.{label}",
                disabled=disabled,
                help=f"`{text}`",
                on_click=choose,
                args=(text,),
            )


def draw_reference() -> None:
    """Draw the tables behind a button."""
    with st.popover("Names and functions", icon=":material/menu_book:", type="tertiary"):
        draw_names()
        draw_functions()


def draw_names() -> None:
    """Draw the table of quantities."""
    rows = [
        (f"`{name}`", f"${each.latex}$", each.shape.words, each.unit, each.meaning)
        for name, each in NAMES.items()
    ]
    st.markdown("**Names**")
    st.table(
        pd.DataFrame(rows, columns=["Name", "Symbol", "Shape", "Unit", "Meaning"]),
        hide_index=True,
        border="horizontal",
    )


def draw_functions() -> None:
    """Draw the table of functions and operators."""
    rows = [(f"`{each.call(name)}`", each.result, each.meaning) for name, each in FUNCTIONS.items()]
    st.markdown("**Functions**, and the operators `+ - * / **`")
    st.table(
        pd.DataFrame(rows, columns=["Function", "Shape of the result", "Meaning"]),
        hide_index=True,
        border="horizontal",
    )
