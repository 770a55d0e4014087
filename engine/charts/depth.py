"""What grows with depth: neuron alignment per block, and the distance of the pruned stream from the dense
one.

Relative error and cosine say different things (how far, and how far in direction), on scales of different
sense, so they get a panel each over the same blocks instead of two axes in one: where two scales share a
panel, where the lines cross means nothing.
"""

from __future__ import annotations

from math import floor, log10

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, block_count, canvas, ceiling, done_blocks, progress_words
from engine.numbers import percent, power_of_ten, scientific
from engine.record import RunRecord


def alignment_bars(record: RunRecord) -> Chart:
    """How much pruning changes the relative strength of each block's neurons."""
    table = pd.DataFrame(
        [(block.index, block.alignment, block.sparsity) for block in done_blocks(record)],
        columns=["block", "alignment", "sparsity"],
    )
    top = ceiling(table["alignment"].max()) if len(table) else 1.0
    exponent = floor(log10(top) + 1e-9)
    bars = go.Bar(
        x=table["block"],
        y=table["alignment"] / 10.0**exponent,
        customdata=table["alignment"],
        marker={"color": palette.BLUE, "cornerradius": 3},
        hovertemplate="block %{x}<br>alignment distance %{customdata:.3e}<extra></extra>",
    )
    figure = canvas(go.Figure(bars))
    figure.update_layout(bargap=0.35)
    figure.update_xaxes(**block_axis(block_count(record)))
    unit = "no unit" if exponent == 0 else f"in {power_of_ten(exponent)}"
    figure.update_yaxes(title={"text": f"Distance A, {unit}"}, range=[0, 1.02 * top / 10.0**exponent])
    return Chart(
        title="Neuron alignment of every block",
        figure=figure,
        table=table,
        alt=f"Bar chart of the neuron alignment distance by block, {progress_words(record)}. {_worst(table)}",
        caption="How much the relative strength of a block's neurons shifts when it is pruned: distance between the normalised input norms, "
        "dense against pruned, summed over its linears (NeuroAL's A). 0 = unchanged.",
    )


def _worst(table: pd.DataFrame) -> str:
    if table.empty:
        return "Nothing is done yet."
    worst = table.loc[table["alignment"].idxmax()]
    return f"Largest in block {int(worst['block'])}: {scientific(worst['alignment'])}."


def error_through_depth(record: RunRecord) -> Chart:
    """How the damage grows from block to block."""
    rows = [
        (block.index, block.relative_error, block.cosine)
        for block in done_blocks(record)
        if block.relative_error is not None
    ]
    table = pd.DataFrame(rows, columns=["block", "relative_error", "cosine"])
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.1)
    figure.add_trace(
        _line(table, "relative_error", palette.VERMILLION, "circle", 100, "relative error %{y:.1f} %"),
        row=1,
        col=1,
    )
    figure.add_trace(_line(table, "cosine", palette.GREEN, "diamond", 1, "cosine %{y:.4f}"), row=2, col=1)
    canvas(figure)
    axis = block_axis(block_count(record))
    figure.update_xaxes(range=axis["range"], tickmode="linear", tick0=0, dtick=axis["dtick"])
    figure.update_xaxes(title=axis["title"], row=2, col=1)
    top = ceiling(table["relative_error"].max()) if len(table) else 1.0
    figure.update_yaxes(title={"text": "Error, %"}, range=[0, 104 * top], row=1, col=1)
    bottom = _floor(table["cosine"].min()) if len(table) else 0.0
    figure.update_yaxes(
        title={"text": "Cosine"}, range=[bottom, 1 + 0.06 * (1 - bottom)], nticks=4, row=2, col=1
    )
    figure.update_layout(showlegend=False)
    return Chart(
        title="Error through depth",
        figure=figure,
        table=table,
        alt=f"Two line charts over the blocks, {progress_words(record)}: relative error and cosine of the hidden states. {_last(record, table)}",
        caption="Hidden states of the evaluation text behind each block, pruned model against dense model. Above: ‖h − h′‖ / ‖h‖, 0 = the same. "
        "Below: mean cosine over the tokens, 1 = the same direction.",
    )


def _line(table: pd.DataFrame, column: str, colour: str, symbol: str, scale: float, words: str) -> go.Scatter:
    return go.Scatter(
        x=table["block"],
        y=scale * table[column].astype(float),
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": symbol, "size": 8},
        hovertemplate=f"behind block %{{x}}<br>{words}<extra></extra>",
    )


def _floor(cosine: float) -> float:
    """The start of the cosine's axis: a tenth clearly below, so that it seldom moves and no marker is cut."""
    return max(-1.0, floor(10 * (cosine - 0.01)) / 10)


def _last(record: RunRecord, table: pd.DataFrame) -> str:
    if table.empty:
        return (
            "Not measured without evaluation."
            if record.recipe and record.recipe.evaluation is None
            else "Nothing is done yet."
        )
    last = table.iloc[-1]
    return f"Behind block {int(last['block'])} the relative error is {percent(last['relative_error'])} and the cosine {last['cosine']:.3f}."
