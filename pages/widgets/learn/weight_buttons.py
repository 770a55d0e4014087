"""A matrix of buttons: a click on a weight removes or restores it.

The address holds the removed weights as a hexadecimal bit mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.export.handout_blocks import Frame
from engine.numbers import decimal
from pages.widgets.learn.controls import controls_locked
from pages.widgets.literal import literal
from pages.widgets.recorder import recorder

CELL = 44
"""Minimum width of a cell, pixels."""


def removed_in_address(key: str, cells: int) -> frozenset[int]:
    """Return the removed positions in the address, numbered row by row from 0.

    An invalid mask draws a warning and removes nothing.
    """
    text = st.query_params.get(key, "")
    try:
        bits = int(text or "0", 16)
    except ValueError:
        bits = -1
    if not 0 <= bits < 2**cells:
        st.warning(
            f"{key} = {literal(text)} in the address is not a mask of {cells} weights. No weight is removed.",
            icon=":material/link_off:",
        )
        bits = 0
    # the lowest bit is position 0
    return frozenset(position for position in range(cells) if bits >> position & 1)


def draw_weight_buttons(
    key: str, values: Sequence[Sequence[float]], removed: frozenset[int], heads: Sequence[str]
) -> None:
    """Draw the matrix, with a heading above each column."""
    if (sheet := recorder()) is not None:
        sheet.add(_as_table(values, removed, heads))
        return
    # Without wrapping, so that a row of the grid stays a row of the matrix on a narrow screen.
    grid = st.grid(
        len(heads) + 1, min_column_width=CELL, wrap=False, gap="xxsmall", vertical_alignment="center"
    )
    grid.caption("")  # the corner above the row names
    for head in heads:
        grid.caption(head, text_alignment="center")
    for row, line in enumerate(values):
        grid.caption(f"y{row + 1}", text_alignment="right")
        for column, value in enumerate(line):
            position = row * len(line) + column
            is_removed = position in removed
            number = decimal(value, 1)
            grid.button(
                f":gray[~~{number}~~]" if is_removed else number,
                key=f"{key}.{position}",
                type="tertiary" if is_removed else "secondary",
                width="stretch",
                disabled=controls_locked(),
                on_click=write_removed,
                args=(key, removed ^ {position}),  # symmetric difference: toggles the weight
            )


def _as_table(values: Sequence[Sequence[float]], removed: frozenset[int], heads: Sequence[str]) -> Frame:
    """Return the matrix for a handout, with removed weights in brackets."""
    cells = [
        [
            f"({decimal(value, 1)})" if row * len(heads) + column in removed else decimal(value, 1)
            for column, value in enumerate(line)
        ]
        for row, line in enumerate(values)
    ]
    table = pd.DataFrame(cells, columns=list(heads))
    table.insert(0, "output", [f"y{row + 1}" for row in range(len(cells))])
    return Frame("The weights; removed ones in brackets", table)


def write_removed(key: str, removed: frozenset[int]) -> None:
    """Write the removed positions into the address."""
    st.query_params[key] = f"{sum(1 << position for position in removed):x}"
