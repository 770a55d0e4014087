"""The grid of a sweep: a row per pruner and allocation, a column per sparsity or pattern, and below it why
cells failed, the links of the selected cell, and why cells are impossible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.grid import GridCell, RunStatus, grid, method_title
from engine.analysis.comparison.sweep import Cell
from engine.charts.compare.sweep_grid import LEGEND, column_words, sweep_colours, sweep_words
from pages.widgets.compare.links import draw_links
from pages.widgets.literal import literal
from pages.widgets.page_setup import explore

MOST_REASONS = 6
"""Failures that are shown; the others are counted."""


def draw_grid(cells: Sequence[Cell], statuses: Mapping[str, RunStatus]) -> None:
    """Draw the grid, its legend, the failures, and the links of the selected cell."""
    squares = grid(cells, statuses)
    colors = sweep_colours(squares)
    finished = sum(square.state == "finished" for square in squares)
    selection = st.dataframe(
        # `axis=None`: CSS for the whole table, in its shape
        sweep_words(squares).style.apply(lambda _: colors, axis=None),
        key="sweep.grid",
        on_select="rerun",
        selection_mode="single-cell",
        alt=f"Sweep: a row per pruner, a column per sparsity; {finished} of {len(squares)} cells finished",
    )
    st.caption(f"{LEGEND}. Click a cell to open its runs.")
    _draw_failures(squares)
    _draw_selected(selection, squares)


def draw_impossible(cells: Sequence[Cell]) -> None:
    """Draw the reasons why cells are impossible, and the cells of each."""
    refused = [cell for cell in cells if cell.recipe is None]
    reasons: dict[str, list[str]] = {}
    for cell in refused:
        reasons.setdefault(cell.refusal, []).append(f"{method_title(cell)} {column_words(cell.shape)}")
    if reasons:
        label = f"{len(refused)} cell{'s are' if len(refused) > 1 else ' is'} impossible"
        with st.expander(label, icon=":material/block:"):
            for reason, names in reasons.items():
                st.markdown(f"**{numbers.listed(list(dict.fromkeys(names)))}**: {literal(reason)}")


def _draw_failures(squares: Sequence[GridCell]) -> None:
    failed = [square for square in squares if square.state in ("failed", "damaged", "interrupted")]
    for square in failed[:MOST_REASONS]:
        message = square.message or "it did not finish."
        st.error(
            f"**{literal(square.method)}, {column_words(square.shape)}**: {literal(message)}",
            icon=":material/error:",
        )
    if len(failed) > MOST_REASONS:
        st.caption(f"{len(failed) - MOST_REASONS} more cells failed. Open a cell in Explore to see why.")


def _draw_selected(selection: Any, squares: Sequence[GridCell]) -> None:
    """Draw the links of the selected cell's run; with several seeds, one is chosen."""
    selected = selection["selection"]["cells"] if selection else []
    if not selected:
        return
    row, column = selected[0]  # a row by its position, a column by its name
    rows = dict(enumerate(dict.fromkeys(square.method for square in squares)))  # (the grid may have shrunk)
    cell = (rows.get(row), column)
    square = next((one for one in squares if (one.method, column_words(one.shape)) == cell), None)
    if square is None or not square.keys:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{literal(square.method)}, {column}**", width="content")
        seed = 0
        if len(square.keys) > 1:
            seeds = range(len(square.keys))
            # a sweep's seeds are 0, 1, …: the index is the seed
            seed = st.selectbox("Seed", seeds, key="sweep.seed", width=90, label_visibility="collapsed")
        key = square.keys[seed]
        if square.done:
            draw_links(key, "cell")
        else:
            st.page_link(
                explore(),
                label="Open in Explore",
                icon=":material/content_cut:",
                query_params={"run": key},
            )
