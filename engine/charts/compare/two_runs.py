"""Two runs in one chart, block by block: sparsity, neuron alignment, and the error of the hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import two_runs
from engine.analysis.explanations.explanation import Explanation
from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas, done_blocks, largest, literal, unit_of
from engine.charts.figure import FigureBuilder
from engine.events import BlockPruned
from engine.record import RunRecord

Names = tuple[str, str]
LOOKS = ((palette.BLUE, "circle", "solid"), (palette.VERMILLION, "diamond", "dash"))
"""Colour, marker and dash of the two runs."""


def pair_allocation(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Return the sparsity of each block in both runs."""
    caption = "Share of each block's prunable weights that is removed."
    return _lines(
        "Sparsity per block, %",
        runs,
        names,
        lambda block: 100 * block.sparsity,
        "Sparsity, %",
        caption,
        partial(two_runs.sparsities, runs, names),
    )


def pair_alignment(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Return the neuron alignment distance of each block in both runs."""
    caption = "NeuroAL's distance A between normalised input norms, dense against pruned; 0 = unchanged."
    # one unit for both runs
    unit, words = unit_of(largest(block.alignment for run in runs for block in run.blocks))
    chart = _lines(
        "Neuron alignment per block",
        runs,
        names,
        lambda block: block.alignment / unit,
        f"Distance A, {words}",
        caption,
        partial(two_runs.alignments, runs, names),
    )
    # the table has the distances themselves, the axis a power of ten of them
    return replace(chart, table=chart.table.assign(**{name: chart.table[name] * unit for name in names}))


def pair_depth(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Return the relative error of the hidden states after each block in both runs."""
    caption = "‖h − h′‖ / ‖h‖ of the evaluation text's hidden states after each block, pruned against dense."
    return _lines(
        "Error over depth, %",
        runs,
        names,
        lambda block: None if block.relative_error is None else 100 * block.relative_error,
        "Relative error, %",
        caption,
        partial(two_runs.errors, runs, names),
    )


def _lines(
    title: str,
    runs: Sequence[RunRecord],
    names: Names,
    value: Callable[[BlockPruned], float | None],
    axis: str,
    caption: str,
    explain: Callable[[], Explanation],
) -> Chart:
    columns = [{block.index: value(block) for block in done_blocks(run)} for run in runs]
    blocks = sorted({*columns[0], *columns[1]})  # an unfinished run has fewer; None leaves a gap
    values = {
        name: [column.get(block) for block in blocks] for name, column in zip(names, columns, strict=True)
    }
    table = pd.DataFrame({"block": blocks, **values})
    figure = canvas(FigureBuilder(), legend_lines=1)
    for name, (colour, symbol, dash) in zip(names, LOOKS, strict=True):
        figure.add_trace(
            go.Scatter(
                x=blocks,
                y=table[name],
                mode="lines+markers",
                name=literal(name),
                line={"color": colour, "dash": dash, "width": 2.5},
                marker={"symbol": symbol, "size": 9},
                hovertemplate=f"block %{{x}}<br>%{{y:.4g}}<extra>{literal(name)}</extra>",
            )
        )
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": axis}, rangemode="tozero")
    words = f"Line chart over the blocks of two runs, {names[0]} and {names[1]}. {_difference(table, names)}"
    return Chart(title=title, figure=figure.build(), table=table, alt=words, caption=caption, explain=explain)


def _difference(table: pd.DataFrame, names: Names) -> str:
    """Return in which block the two differ most."""
    # a column of only None has dtype object
    difference = (table[names[0]].astype(float) - table[names[1]].astype(float)).abs()
    if difference.dropna().empty:
        return "Not measured in both."
    if difference.max() == 0:
        return "They are the same."
    return f"They differ most in block {int(table.loc[difference.idxmax(), 'block'])}."
