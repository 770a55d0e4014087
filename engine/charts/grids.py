"""Blocks x linears as a heat map with its numbers in the cells: the sparsity, and the error of each linear's
output.

Cells that are not done stand there empty. Above 36 blocks the numbers no longer fit; then a colour bar stands
for them, and they are in the table and under the pointer.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_axis,
    block_count,
    canvas,
    ceiling,
    done_blocks,
    linear_names,
    progress_words,
    short_names,
)
from engine.events import LinearPruned
from engine.numbers import percent
from engine.record import RunRecord

ROOM_FOR_NUMBERS = 36
ROOM_FOR_DECIMALS = 14


def sparsity_grid(record: RunRecord, *, clickable: bool = False) -> Chart:
    """How much of each linear was removed; `clickable` cells carry their block and linear for whoever is told
    of a click.
    """
    table = _table(record, lambda linear: linear.sparsity, "sparsity")
    return Chart(
        title="Sparsity of every linear, %",
        figure=_figure(record, lambda linear: linear.sparsity, 1.0, "Sparsity", clickable),
        table=table,
        alt=f"Heat map of sparsity, blocks by linears, {progress_words(record)}. {_range(table, 'sparsity')}",
        caption="Share of the weights set to zero."
        + (" Pale cells are still to come." if len(record.blocks) < block_count(record) else ""),
    )


def output_error_grid(record: RunRecord, *, clickable: bool = False) -> Chart:
    """How far each linear's output moved; `clickable` as above."""
    table = _table(record, lambda linear: linear.output_error, "output_error")
    top = ceiling(table["output_error"].max()) if len(table) else 1.0
    return Chart(
        title="Output error of every linear, %",
        figure=_figure(record, lambda linear: linear.output_error, top, "Output error", clickable),
        table=table,
        alt=f"Heat map of the relative error of each linear's output, blocks by linears, {progress_words(record)}. {_range(table, 'output_error')}",
        caption="Dense against pruned output of a linear from the same input, ‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖. Which layers suffer?",
    )


def _table(record: RunRecord, value: Callable[[LinearPruned], float], name: str) -> pd.DataFrame:
    rows = [
        {
            "block": block.index,
            "linear": linear.name,
            "rows": linear.rows,
            "columns": linear.columns,
            "removed": linear.removed,
            name: value(linear),
        }
        for block in done_blocks(record)
        for linear in block.linears
    ]
    return pd.DataFrame(rows, columns=["block", "linear", name, "rows", "columns", "removed"])


def _range(table: pd.DataFrame, name: str) -> str:
    if table.empty:
        return "Nothing is done yet."
    low, high = table[name].min(), table[name].max()
    return (
        f"All at {percent(low)}."
        if percent(low) == percent(high)
        else f"From {percent(low)} to {percent(high)}."
    )


def _figure(
    record: RunRecord, value: Callable[[LinearPruned], float], top: float, label: str, clickable: bool
) -> go.Figure:
    names, total = linear_names(record), block_count(record)
    short = list(short_names(names).values())
    cells: list[list[float | None]] = [[None] * total for _ in names]
    for block in done_blocks(record):
        for linear in block.linears:
            cells[names.index(linear.name)][block.index] = 100 * value(linear)
    digits = 1 if total <= ROOM_FOR_DECIMALS else 0
    numbers = [["" if cell is None else f"{cell:.{digits}f}" for cell in row] for row in cells]
    blocks = list(range(total))
    figure = go.Figure([_tiles(blocks, short), _heat(blocks, short, cells, numbers, 100 * top, label)])
    if clickable:
        figure.add_trace(_handles(record, value, label))
        figure.update_layout(
            hoverdistance=60
        )  # the nearest cell's middle is meant, however wide the cells are
    canvas(figure, height=70 + max(3, len(names)) * (27 if len(names) <= ROOM_FOR_NUMBERS else 10))
    figure.update_xaxes(**block_axis(total))
    figure.update_yaxes(title={"text": "Linear"}, autorange="reversed", showgrid=False)
    return figure


def _tiles(blocks: list[int], names: list[str]) -> go.Heatmap:
    """The empty places."""
    scale = [[0, palette.UNDONE], [1, palette.UNDONE]]
    cells = [[0] * len(blocks) for _ in names]
    return go.Heatmap(
        x=blocks, y=names, z=cells, colorscale=scale, showscale=False, hoverinfo="skip", xgap=2, ygap=2
    )


def _handles(record: RunRecord, value: Callable[[LinearPruned], float], label: str) -> go.Scatter:
    """An invisible point in the middle of each cell: a heat map's own cells cannot be selected."""
    short = short_names(linear_names(record))
    cells = [(block.index, linear) for block in done_blocks(record) for linear in block.linears]
    hidden = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[index for index, _ in cells],
        y=[short[linear.name] for _, linear in cells],
        customdata=[(index, linear.name, 100 * value(linear)) for index, linear in cells],
        mode="markers",
        marker={"symbol": "square", "size": 22, "opacity": 0},
        selected=hidden,
        unselected=hidden,
        hovertemplate=f"block %{{x}}, %{{y}}<br>{label.lower()} %{{customdata[2]:.2f}} %<br>click to look inside<extra></extra>",
        showlegend=False,
    )


def _heat(
    blocks: list[int],
    names: list[str],
    cells: list[list[float | None]],
    numbers: list[list[str]],
    top: float,
    label: str,
) -> go.Heatmap:
    readable = len(blocks) <= ROOM_FOR_NUMBERS and len(names) <= ROOM_FOR_NUMBERS
    return go.Heatmap(
        x=blocks,
        y=names,
        z=cells,
        text=numbers,
        texttemplate="%{text}" if readable else None,
        textfont={"color": palette.INK},
        zmin=0,
        zmax=top,
        colorscale=palette.AMOUNT,
        showscale=not readable,
        colorbar={"title": {"text": f"{label}, %", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate=f"block %{{x}}, %{{y}}<br>{label.lower()} %{{z:.2f}} %<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
