"""A matrix of buttons: pressing a weight removes it or brings it back. Which are removed stands in the
address, a bit for each in hex.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.numbers import decimal
from pages.widgets.learn.controls import locked

CELL = 44
"""Least width of a cell, pixels."""


def removed_places(key: str, cells: int) -> frozenset[int]:
    """The places, counted row by row from 0, that the address has removed; none where it has something else
    there.
    """
    text = st.query_params.get(key, "")
    try:
        bits = int(text or "0", 16)
    except ValueError:
        bits = -1
    if not 0 <= bits < 2**cells:
        st.warning(
            f"The address has {key} = {text}, but that is no mask of {cells} weights. Nothing is removed.",
            icon=":material/link_off:",
        )
        bits = 0
    return frozenset(place for place in range(cells) if bits >> place & 1)


def draw_board(
    key: str, values: Sequence[Sequence[float]], removed: frozenset[int], heads: Sequence[str]
) -> None:
    """Draw the matrix under the heads of its columns."""
    grid = st.grid(
        len(heads) + 1, min_column_width=CELL, wrap=False, gap="xxsmall", vertical_alignment="center"
    )
    grid.caption("")
    for head in heads:
        grid.caption(head, text_alignment="center")
    for row, line in enumerate(values):
        grid.caption(f"y{row + 1}", text_alignment="right")
        for column, value in enumerate(line):
            place = row * len(line) + column
            gone = place in removed
            number = decimal(value, 1)
            grid.button(
                f":gray[~~{number}~~]" if gone else number,
                key=f"{key}.{place}",
                type="tertiary" if gone else "secondary",
                width="stretch",
                disabled=locked(),
                on_click=put,
                args=(key, removed ^ {place}),
            )


def put(key: str, removed: frozenset[int]) -> None:
    """Write the removed places into the address."""
    st.query_params[key] = f"{sum(1 << place for place in removed):x}"
