"""Heat maps of two runs: the difference of each linear's value, the page's run minus the other, in percentage
points.

Cells are compared if both runs have a linear of that name in that block. Maps of models with another number
of blocks are not compared: the same block number is another depth in each.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.linear_names import linear_names
from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_axis,
    block_count,
    canvas,
    ceiling,
    cell_handles,
    largest,
    literal,
    short_names,
)
from engine.charts.figure import FigureBuilder
from engine.charts.heatmaps import (
    IN_HOVER,
    OUTPUT_ERROR,
    OUTPUT_ERROR_CAPTION,
    SPARSITY,
    SPARSITY_CAPTION,
    Value,
    empty_cells,
    labelled_heatmap,
    least_width,
    linear_axis,
    map_height,
    output_error_grid,
    sparsity_grid,
)
from engine.charts.overlay.pair import Pair
from engine.numbers import listed, percent, signed
from engine.record import RunRecord

SIGNED_WIDTH, MOST_DECIMALS = 25, 10
"""Pixels of a cell with a sign and two digits, and the blocks up to which there is room for a decimal too."""


def sparsity_difference(pair: Pair, *, clickable: bool = False) -> Chart:
    """Return by how much the sparsity of each linear differs; `clickable` as in `sparsity_grid`."""
    if reason := _incomparable(pair):
        return _alone(pair, sparsity_grid(pair.first, clickable=clickable), reason)
    table = _table(pair, lambda linear: linear.sparsity, "sparsity")
    return _difference(pair, table, "sparsity", f"{SPARSITY}, ± % points", SPARSITY_CAPTION, clickable)


def output_error_difference(pair: Pair, *, clickable: bool = False) -> Chart:
    """Return by how much the output error of each linear differs; `clickable` as in `sparsity_grid`."""
    if reason := _incomparable(pair):
        return _alone(pair, output_error_grid(pair.first, clickable=clickable), reason)
    table, title = _table(pair, lambda linear: linear.output_error, "output_error"), OUTPUT_ERROR
    return _difference(pair, table, "output_error", f"{title}, ± % points", OUTPUT_ERROR_CAPTION, clickable)


def _alone(pair: Pair, single: Chart, reason: str) -> Chart:
    return replace(single, caption=f"Not compared with {pair.names[1]}: {reason}. {single.caption}")


def _difference(
    pair: Pair, table: pd.DataFrame, name: str, title: str, caption: str, clickable: bool
) -> Chart:
    (one, other), words, extremes = pair.names, name.replace("_", " "), _extremes(table, name)
    labels = list(short_names(linear_names(pair.first)).values())
    least = least_width(pair.blocks, labels, SIGNED_WIDTH, MOST_DECIMALS)
    return Chart(
        title=title,
        figure=_figure(pair, table, name, clickable),
        table=table,
        alt=f"Heat map of the difference in {words} of two runs, blocks by linears, in percentage points: "
        f"{one} minus {other}. {extremes}",
        caption=f"{one} minus {other}, in percentage points: + (blue) where {one} has the larger {words}, "
        f"− (orange) where it has the smaller one. {extremes} {_left_out(pair)}{caption}"
        + (IN_HOVER if least else ""),
        least_width=least,
    )


def _incomparable(pair: Pair) -> str:
    """Return why the cells of two runs are not of the same linears; empty if some are."""
    blocks = [block_count(run) for run in pair.runs]
    if blocks[0] != blocks[1]:
        return f"its model has {blocks[1]} blocks instead of {blocks[0]}"
    if not set(linear_names(pair.first)) & set(linear_names(pair.second)):
        return "the linears of its model have other names"
    return ""


def _left_out(pair: Pair) -> str:
    first, second = map(linear_names, pair.runs)
    short = short_names(list(dict.fromkeys([*first, *second])))
    alone = [short[name] for name in short if (name in first) != (name in second)]
    return f"Only one of the two models has {listed(alone)}. " if alone else ""


def _values(record: RunRecord, value: Value) -> dict[tuple[int, str], float]:
    return {(block.index, linear.name): value(linear) for block in record.blocks for linear in block.linears}


def _table(pair: Pair, value: Value, name: str) -> pd.DataFrame:
    """Return one row per linear that either run has finished; differences are of shares, as the values."""
    first, second = (_values(run, value) for run in pair.runs)
    order = {linear: place for place, linear in enumerate(linear_names(pair.first))}
    places = sorted({*first, *second}, key=lambda at: (at[0], order.get(at[1], len(order)), at[1]))
    table = pd.DataFrame(
        [(*at, first.get(at), second.get(at)) for at in places],
        columns=["block", "linear", *(f"{name}: {run}" for run in pair.names)],
    )
    one, other = (table.iloc[:, column].astype(float) for column in (2, 3))
    return table.assign(difference=one - other)


def _extremes(table: pd.DataFrame, name: str) -> str:
    known = table.dropna(subset="difference")
    if known.empty:
        return "No linear is finished in both runs yet."
    if not known["difference"].any():
        return f"The {name.replace('_', ' ')} is the same in every linear."
    low, high = (signed(100 * known["difference"].agg(side)) for side in ("min", "max"))
    mean = signed(100 * known["difference"].mean(), 2)
    return f"From {low} to {high}, {mean} on average."


def _figure(pair: Pair, table: pd.DataFrame, name: str, clickable: bool) -> go.Figure:
    names, blocks = linear_names(pair.first), list(range(pair.blocks))
    short = short_names(names)
    labels, words = list(short.values()), name.replace("_", " ")
    cells: list[list[float | None]] = [[None] * len(blocks) for _ in names]
    hints: list[list[str]] = [[""] * len(blocks) for _ in names]
    handles = []
    for block, linear, one, other, difference in table.itertuples(index=False):
        if linear not in short or pd.isna(difference):
            continue
        row = names.index(linear)
        cells[row][block] = 100 * difference
        hints[row][block] = _hint(pair, words, one, other, difference)
        handles.append((block, linear, hints[row][block]))
    top = 100 * ceiling(largest(abs(cell or 0) / 100 for row in cells for cell in row))
    heat = labelled_heatmap(
        blocks, labels, cells, top, "Difference, points", digits=0, hover="%{customdata}<extra></extra>"
    )
    digits = 1 if len(blocks) <= MOST_DECIMALS else 0
    heat.update(
        zmin=-top,
        colorscale=palette.SIGNED,
        customdata=hints,
        text=[["" if cell is None else signed(cell, digits) for cell in row] for row in cells],
        showscale=heat.showscale or len(blocks) > MOST_DECIMALS,
    )
    figure = FigureBuilder([empty_cells(blocks, labels), heat])
    if clickable:
        hover = "block %{x}, %{y}<br>%{customdata[2]}<br>click to open the microscope"
        figure.add_trace(
            cell_handles(
                [block for block, *_ in handles], [short[linear] for _, linear, _ in handles], handles, hover
            )
        )
        figure.update_layout(hoverdistance=60)  # a click selects the nearest handle
    canvas(figure, height=map_height(len(names)))
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(**linear_axis(len(blocks), labels))
    return figure.build()


def _hint(pair: Pair, words: str, one: float, other: float, difference: float) -> str:
    first, second = map(literal, pair.names)
    return (
        f"{words} {percent(one, 2)}: {first}<br>{words} {percent(other, 2)}: {second}<br>"
        f"difference {signed(100 * difference, 2)} percentage points"
    )
