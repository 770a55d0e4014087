"""What grows with depth: neuron alignment per block, and the error of the hidden states.

Relative error and cosine are different measures (distance, and direction) on opposite scales, so each gets
its own panel over the same blocks: with two scales in one panel, the crossing of the lines would mean
nothing.
"""

from __future__ import annotations

from functools import partial
from math import floor

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import depth
from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_axis,
    block_count,
    canvas,
    ceiling,
    done_blocks,
    panels,
    progress_words,
    share_block_axis,
    unit_of,
)
from engine.charts.figure import FigureBuilder
from engine.numbers import percent, scientific
from engine.record import RunRecord

ALIGNMENT, DEPTH = "Neuron alignment per block", "Error over depth"
"""The titles."""
ALIGNMENT_CAPTION = (
    "How much the relative strength of a block's neurons shifts when it is pruned: distance between the "
    "normalised input norms, dense against pruned, summed over its linears (NeuroAL's A). 0 = unchanged."
)
DEPTH_CAPTION = (
    "Hidden states of the evaluation text after each block, pruned against dense model. Upper panel: "
    "relative error ‖h − h′‖ / ‖h‖, 0 = the same. Lower panel: mean cosine over the tokens, 1 = the same "
    "direction."
)


def alignment_table(record: RunRecord) -> pd.DataFrame:
    """Return one row per finished block."""
    return pd.DataFrame(
        [(block.index, block.alignment, block.sparsity) for block in done_blocks(record)],
        columns=["block", "alignment", "sparsity"],
    )


def depth_table(record: RunRecord) -> pd.DataFrame:
    """Return one row per finished block with measured hidden states."""
    rows = [
        (block.index, block.relative_error, block.cosine)
        for block in done_blocks(record)
        if block.relative_error is not None  # only measured with an evaluation text
    ]
    return pd.DataFrame(rows, columns=["block", "relative_error", "cosine"])


def alignment_bars(record: RunRecord) -> Chart:
    """Return how much pruning changes the relative strength of each block's neurons."""
    table = alignment_table(record)
    # from the ceiling: the unit changes as seldom as the axis
    unit, words = unit_of(ceiling(table["alignment"].max()) if len(table) else 1.0)
    bars = go.Bar(
        x=table["block"],
        y=table["alignment"] / unit,
        customdata=table["alignment"],  # hover text shows the unscaled distance
        marker={"color": palette.BLUE, "cornerradius": 3},
        hovertemplate="block %{x}<br>alignment distance %{customdata:.3e}<extra></extra>",
    )
    figure = canvas(FigureBuilder(bars))
    figure.update_layout(bargap=0.35)
    figure.update_xaxes(**block_axis(block_count(record)))
    top = ceiling(table["alignment"].max()) if len(table) else 1.0
    figure.update_yaxes(title={"text": f"Distance A, {words}"}, range=[0, 1.02 * top / unit])
    return Chart(
        title=ALIGNMENT,
        figure=figure.build(),
        table=table,
        alt=f"Bar chart of the neuron alignment distance per block, {progress_words(record)}. "
        f"{_worst(table)}",
        caption=ALIGNMENT_CAPTION,
        explain=partial(depth.neuron_alignment, record),
    )


def _worst(table: pd.DataFrame) -> str:
    if table.empty:
        return "No block is finished yet."
    worst = table.loc[table["alignment"].idxmax()]
    return f"Largest in block {int(worst['block'])}: {scientific(worst['alignment'])}."


def error_through_depth(record: RunRecord) -> Chart:
    """Return how the error of the hidden states grows from block to block."""
    table = depth_table(record)
    figure = panels([0.62, 0.38])
    figure.add_trace(
        _line(table, "relative_error", palette.VERMILLION, "circle", 100, "relative error %{y:.1f} %"),
        row=1,
        col=1,
    )
    figure.add_trace(_line(table, "cosine", palette.GREEN, "diamond", 1, "cosine %{y:.4f}"), row=2, col=1)
    canvas(figure)
    share_block_axis(figure, block_count(record), 2)
    top = ceiling(table["relative_error"].max()) if len(table) else 1.0
    # percent, and 4 % of space
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, 104 * top], row=1, col=1)
    bottom = cosine_floor(table["cosine"].min()) if len(table) else 0.0
    figure.update_yaxes(
        title={"text": "Cosine"},
        range=[bottom, 1 + 0.06 * (1 - bottom)],  # a mark at exactly 1 is not cut
        nticks=4,
        row=2,
        col=1,
    )
    figure.update_layout(showlegend=False)
    return Chart(
        title=DEPTH,
        figure=figure.build(),
        table=table,
        alt=f"Two line charts over the blocks, {progress_words(record)}: relative error and cosine of the "
        f"hidden states. {_last(record, table)}",
        caption=DEPTH_CAPTION,
        explain=partial(depth.error_over_depth, record),
    )


def _line(table: pd.DataFrame, column: str, colour: str, symbol: str, scale: float, words: str) -> go.Scatter:
    return go.Scatter(
        x=table["block"],
        y=scale * table[column].astype(float),
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": symbol, "size": 8},
        hovertemplate=f"after block %{{x}}<br>{words}<extra></extra>",
    )


def cosine_floor(cosine: float) -> float:
    """Return the start of the cosine axis: a tenth clearly below, so that it seldom moves."""
    return max(-1.0, floor(10 * (cosine - 0.01)) / 10)


def _last(record: RunRecord, table: pd.DataFrame) -> str:
    if table.empty:
        return (
            "Not measured without evaluation."
            if record.recipe and record.recipe.evaluation is None
            else "No block is finished yet."
        )
    last = table.iloc[-1]
    return (
        f"After block {int(last['block'])} the relative error is {percent(last['relative_error'])} "
        f"and the cosine {last['cosine']:.3f}."
    )
