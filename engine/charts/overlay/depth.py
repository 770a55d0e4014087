"""What grows with depth, in two runs: neuron alignment as grouped bars, the error of the hidden states as two
pairs of lines.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.charts.chart import (
    Chart,
    block_axis,
    ceiling,
    largest,
    panels,
    share_block_axis,
    unit_of,
)
from engine.charts.depth import (
    ALIGNMENT,
    ALIGNMENT_CAPTION,
    DEPTH,
    DEPTH_CAPTION,
    alignment_table,
    cosine_floor,
    depth_table,
)
from engine.charts.figure import FigureBuilder
from engine.charts.overlay.pair import LOOKS, Pair, block_bars, block_line, both_tables, most_different
from engine.numbers import percent, scientific
from engine.record import RunRecord


def alignment_of_both(pair: Pair) -> Chart:
    """Return the neuron alignment distance of each block in both runs."""
    tables = [alignment_table(run) for run in pair.runs]
    top = ceiling(largest(value for table in tables for value in table["alignment"]))
    unit, words = unit_of(top)
    figure = pair.canvas(FigureBuilder())
    for table, name, look in zip(tables, pair.names, LOOKS, strict=True):
        distances = table["alignment"]
        figure.add_trace(
            block_bars(
                table,
                distances / unit,
                name,
                look,
                "alignment distance %{customdata:.3e}",
                customdata=distances,
            )
        )
    figure.update_layout(barmode="overlay")  # each run's bars have their own side of the block
    figure.update_xaxes(**block_axis(pair.blocks))
    figure.update_yaxes(title={"text": f"Distance A, {words}"}, range=[0, 1.02 * top / unit])
    distances = {block.index: block.alignment for block in pair.first.blocks}
    others = {block.index: block.alignment for block in pair.second.blocks}
    result = most_different(pair, (distances, others), lambda value: scientific(value, 2))
    return Chart(
        title=ALIGNMENT,
        figure=figure.build(),
        table=both_tables(pair, *tables),
        alt=f"Grouped bars of the neuron alignment distance per block in {pair.names[0]} and "
        f"{pair.names[1]}. {result}",
        caption=f"{result} {ALIGNMENT_CAPTION}",
    )


def depth_of_both(pair: Pair) -> Chart:
    """Return how the error of the hidden states grows from block to block in both runs."""
    tables = [depth_table(run) for run in pair.runs]
    figure = panels([0.62, 0.38])
    for table, name, look in zip(tables, pair.names, LOOKS, strict=True):
        error = block_line(
            table, 100 * table["relative_error"], name, look, "relative error %{y:.1f} %", legend=True
        )
        cosine = block_line(table, table["cosine"], name, look, "cosine %{y:.4f}", legend=False)
        figure.add_trace(error, row=1, col=1)
        figure.add_trace(cosine, row=2, col=1)
    pair.canvas(figure)
    share_block_axis(figure, pair.blocks, 2)
    top = ceiling(largest(value for table in tables for value in table["relative_error"]))
    bottom = min((cosine_floor(value) for table in tables for value in table["cosine"]), default=0.0)
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, 104 * top], row=1, col=1)
    figure.update_yaxes(
        title={"text": "Cosine"}, range=[bottom, 1 + 0.06 * (1 - bottom)], nticks=4, row=2, col=1
    )
    result = most_different(pair, (_errors(pair.first), _errors(pair.second)), percent)
    missing = [
        f"{name} was not evaluated on a text, so it has no error here. "
        for run, name in zip(pair.runs, pair.names, strict=True)
        if run.blocks and not _errors(run)
    ]
    return Chart(
        title=DEPTH,
        figure=figure.build(),
        table=both_tables(pair, *tables),
        alt=f"Two line charts over the blocks of {pair.names[0]} and {pair.names[1]}: relative error and "
        f"cosine of the hidden states. {result}",
        caption=f"{result} {''.join(missing)}{_texts(pair)}{DEPTH_CAPTION}",
    )


def _errors(record: RunRecord) -> Mapping[int, float]:
    """Return the relative error after each block, as a share."""
    return {block.index: block.relative_error for block in record.blocks if block.relative_error is not None}


def _texts(pair: Pair) -> str:
    texts = [run.protocol.evaluation for run in pair.runs]
    if texts[0] is None or texts[1] is None or texts[0].fingerprint == texts[1].fingerprint:
        return ""
    return "The two were measured on different texts. "
