"""Heat maps of blocks by linears with the numbers in the cells: sparsity, and the error of each linear's
output.

Cells of blocks that are not finished are drawn empty. Above 14 blocks the numbers do not fit a narrow page,
and above 36 blocks or linears no page: a colour bar says what the colours mean, and the values remain in the
table and in the hover text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import linears
from engine.analysis.linear_names import linear_names
from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_axis,
    block_count,
    canvas,
    ceiling,
    cell_handles,
    done_blocks,
    progress_words,
    short_names,
)
from engine.charts.figure import FigureBuilder
from engine.events import LinearPruned
from engine.numbers import percent
from engine.record import RunRecord

SPARSITY, OUTPUT_ERROR = "Sparsity per linear", "Output error per linear"
"""The titles, without their units."""
SPARSITY_CAPTION = "Share of the weights set to zero."
OUTPUT_ERROR_CAPTION = (
    "Relative error ‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ of a linear's pruned output against its dense output, from the same "
    "input."
)
Value = Callable[[LinearPruned], float]
MOST_LABELS = 36
"""Blocks or linears up to which cells have room for their numbers."""
MOST_DECIMALS = 14
"""Blocks up to which the numbers have room for a decimal, and for themselves on a narrow page."""
CELL_WIDTH, LETTER_WIDTH, MARGINS = 17, 7, 110
"""Pixels of a cell with a number of two digits, of a letter, and of what is around the cells and the names of
the linears: the axis' title and the colour bar.
"""
COMMON = {f"{name}_proj": name for name in ("q", "k", "v", "o", "gate", "up", "down")}
"""Names that most models use, as papers write them; a map of many blocks needs the room."""
IN_HOVER = " On a narrow page, the numbers are in the hover text and in the table."


def sparsity_grid(record: RunRecord, *, clickable: bool = False) -> Chart:
    """Return the sparsity of each linear.

    Args:
        clickable: whether each cell carries its block and linear, for a page that handles clicks.
    """
    table = _table(record, lambda linear: linear.sparsity, "sparsity")
    least = _least_width(record)
    return Chart(
        title=f"{SPARSITY}, %",
        figure=_figure(record, lambda linear: linear.sparsity, 1.0, "Sparsity", clickable),
        table=table,
        alt=f"Heat map of sparsity, blocks by linears, {progress_words(record)}. {_range(table, 'sparsity')}",
        caption=SPARSITY_CAPTION
        + (" Pale cells: not finished yet." if len(record.blocks) < block_count(record) else "")
        + (IN_HOVER if least else ""),
        least_width=least,
        explain=partial(linears.sparsity_map, record),
    )


def output_error_grid(record: RunRecord, *, clickable: bool = False) -> Chart:
    """Return the relative output error of each linear; `clickable` as in `sparsity_grid`."""
    table = _table(record, lambda linear: linear.output_error, "output_error")
    top = ceiling(table["output_error"].max()) if len(table) else 1.0
    least = _least_width(record)
    return Chart(
        title=f"{OUTPUT_ERROR}, %",
        figure=_figure(record, lambda linear: linear.output_error, top, "Output error", clickable),
        table=table,
        alt="Heat map of the relative error of each linear's output, blocks by linears, "
        f"{progress_words(record)}. "
        f"{_range(table, 'output_error')}",
        caption=OUTPUT_ERROR_CAPTION + (IN_HOVER if least else ""),
        least_width=least,
        explain=partial(linears.output_errors, record),
    )


def least_width(blocks: int, names: Sequence[str], cell: int = CELL_WIDTH, few: int = MOST_DECIMALS) -> int:
    """Return the pixels of a map below which its numbers are too small to read; 0 if it has none, or few.

    Args:
        names: of the rows, as in `linear_axis`.
        cell: pixels of a cell with a number.
        few: blocks up to which the numbers fit any page.
    """
    if not few < blocks <= MOST_LABELS:
        return 0
    letters = max((len(name) for name in linear_axis(blocks, names)["ticktext"]), default=0)
    return cell * blocks + LETTER_WIDTH * letters + MARGINS


def linear_axis(blocks: int, names: Sequence[str]) -> dict[str, Any]:
    """Return the y axis of a map of blocks by linears, with the first linear on top. Common names are
    abbreviated if there are many blocks; the hover text has them in full.
    """
    shown = [COMMON.get(name, name) for name in names] if blocks > MOST_DECIMALS else list(names)
    return {
        "title": {"text": "Linear"},
        "autorange": "reversed",
        "showgrid": False,
        "tickmode": "array",
        "tickvals": list(names),
        "ticktext": shown,
    }


def labelled_heatmap(
    blocks: Sequence[int],
    names: Sequence[str],
    cells: Sequence[Sequence[float | None]],
    top: float,
    title: str,
    *,
    digits: int,
    hover: str | None,
) -> go.Heatmap:
    """Return blocks by linears, coloured by amount, with numbers in the cells if they fit.

    Args:
        names: of the rows, as the axis shows them.
        cells: percentages `[linears][blocks]`, None for an empty cell.
        top: percentage with the deepest colour.
        title: of the colour bar of a large map.
        digits: decimals of the numbers.
        hover: the hover template; None for none.
    """
    fits = len(blocks) <= MOST_LABELS and len(names) <= MOST_LABELS
    return go.Heatmap(
        x=list(blocks),
        y=list(names),
        z=[list(row) for row in cells],
        text=[["" if cell is None else f"{cell:.{digits}f}" for cell in row] for row in cells],
        texttemplate="%{text}" if fits else None,
        # the cells are light in both themes, the page's text is not dark in both
        textfont={"color": palette.INK},
        zmin=0,
        zmax=top,
        colorscale=palette.AMOUNT,
        showscale=not fits or len(blocks) > MOST_DECIMALS,
        colorbar={"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate=hover,
        hoverinfo="skip" if hover is None else None,  # the handles above it have the hover text
        hoverongaps=False,  # empty cells have no value to show
        xgap=2,
        ygap=2,
    )


def _least_width(record: RunRecord) -> int:
    return least_width(block_count(record), list(short_names(linear_names(record)).values()))


def _table(record: RunRecord, value: Value, name: str) -> pd.DataFrame:
    rows = [
        (block.index, linear.name, value(linear), linear.rows, linear.columns, linear.removed)
        for block in done_blocks(record)
        for linear in block.linears
    ]
    return pd.DataFrame(rows, columns=["block", "linear", name, "rows", "columns", "removed"])


def _range(table: pd.DataFrame, name: str) -> str:
    if table.empty:
        return "No block is finished yet."
    low, high = percent(table[name].min()), percent(table[name].max())
    return f"All at {low}." if low == high else f"From {low} to {high}."


def _figure(record: RunRecord, value: Value, top: float, label: str, clickable: bool) -> go.Figure:
    names, total = linear_names(record), block_count(record)
    short = short_names(names)
    blocks = list(range(total))
    cells: list[list[float | None]] = [[None] * total for _ in names]
    for block in done_blocks(record):
        for linear in block.linears:
            # blocks may differ in their linears
            cells[names.index(linear.name)][block.index] = 100 * value(linear)
    hover = f"block %{{x}}, %{{y}}<br>{label.lower()} %{{z:.2f}} %<extra></extra>"
    digits = 1 if total <= MOST_DECIMALS else 0
    labels = list(short.values())
    heat = labelled_heatmap(blocks, labels, cells, 100 * top, f"{label}, %", digits=digits, hover=hover)
    figure = FigureBuilder([empty_cells(blocks, labels), heat])
    if clickable:
        done = [(block.index, linear) for block in done_blocks(record) for linear in block.linears]
        values = [(index, linear.name, 100 * value(linear)) for index, linear in done]
        hover = (
            f"block %{{x}}, %{{y}}<br>{label.lower()} %{{customdata[2]:.2f}} %<br>click to open the "
            "microscope"
        )
        figure.add_trace(
            cell_handles(
                [index for index, _ in done], [short[linear.name] for _, linear in done], values, hover
            )
        )
        # a click selects the nearest handle, however wide the cells are
        figure.update_layout(hoverdistance=60)
    canvas(figure, height=map_height(len(names)))
    figure.update_xaxes(**block_axis(total))
    figure.update_yaxes(**linear_axis(total, labels))
    return figure.build()


def map_height(linears: int) -> int:
    """Return the pixels of a map with this many rows."""
    return 70 + max(3, linears) * (27 if linears <= MOST_LABELS else 10)  # with and without numbers


def empty_cells(blocks: list[int], names: list[str]) -> go.Heatmap:
    """Return the cells beneath those with a value: None leaves a hole in a heat map."""
    return go.Heatmap(
        x=blocks,
        y=names,
        z=[[0] * len(blocks) for _ in names],
        colorscale=[[0, palette.UNDONE], [1, palette.UNDONE]],  # a scale needs both ends
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
