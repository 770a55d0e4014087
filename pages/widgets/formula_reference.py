"""The names and functions of formulas as tables, for the Methods page and the formula's editor."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine.pruning.formulas.vocabulary import FUNCTIONS, NAMES


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
