"""What a mask refinement did: how much it swapped, what that did to its own measure, and what to the error
that counts.

Its own measure, the drift, nearly always falls: that is what swaps are chosen by. The output error need not,
so it has a chart of its own.

How much of each block's error an update takes back: with the mask alone, and with the weights that stay
adjusted.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.before_after import dumbbells, error_figure, pairs, summary, weights
from engine.charts.chart import (
    FINE,
    HEIGHT,
    Chart,
    block_count,
    canvas,
    ceiling,
    done_blocks,
    largest,
    panels,
    progress_words,
    share_block_axis,
)
from engine.events import LinearPruned
from engine.numbers import percent
from engine.record import RunRecord

RECOVERY_NAMES = ("mask alone", "after the update")


def error_taken_back(record: RunRecord) -> Chart:
    """Output error of each block's linears before and after the update."""
    table = pairs(record, lambda linear: linear.error_before_update, lambda linear: linear.output_error)
    words = summary(record, table, "The update")
    return Chart(
        title="What the update took back",
        figure=error_figure(record, table, RECOVERY_NAMES, "Taken back"),
        table=table.rename(columns={"before": "mask_alone", "after": "updated", "less": "taken_back"}),
        alt=f"Dumbbells of the output error by block, with the mask alone and after the update, and bars of the share taken back. {words}",
        caption=f"{words} Relative error of the linears' outputs, a block's mean weighted by size. The mask is the same in both; "
        "the update adjusts the weights that stay.",
    )


NAMES = ("before the swaps", "after the swaps")


def refinement_swaps(record: RunRecord) -> Chart:
    """How many entries changed sides, and how far the expected output moved before and after."""
    swaps, drift = (
        _swaps(record),
        pairs(
            record,
            lambda linear: linear.drift_before,
            lambda linear: linear.drift_after,
            lambda linear: linear.rows,
        ),
    )
    two = not drift.empty or not record.blocks
    figure = canvas(
        panels([0.5, 0.5] if two else [1]), HEIGHT + 40 if two else HEIGHT, legend_lines=1 if two else 0
    )
    figure.add_trace(_bars(swaps), row=1, col=1)
    figure.update_yaxes(
        title={"text": "Swapped, %"},
        nticks=4,
        range=[0, 104 * (ceiling(largest(swaps["share"]), FINE) if len(swaps) else 0.1)],
        row=1,
        col=1,
    )
    if two:
        figure.add_traces(dumbbells(drift, 1, NAMES, ""), rows=2, cols=1)
        top = ceiling(largest([*drift["before"], *drift["after"]]), FINE)
        figure.update_yaxes(
            title={"text": "Drift, mean |e|"}, range=[-0.06 * top, 1.08 * top], nticks=4, row=2, col=1
        )
    share_block_axis(figure, block_count(record), 2 if two else 1)
    columns = {"before": "drift_before", "after": "drift_after"}
    words = f"{_amount(record, swaps)} {_drift(drift)}".rstrip()
    return Chart(
        title="Swaps of the refinement",
        figure=figure,
        table=swaps.merge(drift.drop(columns="less").rename(columns=columns), on="block", how="outer"),
        alt=f"Bars of the share of weights swapped by block{', and dumbbells of the drift before and after' if two else ''}. {words}",
        caption=f"{words} A swap keeps one weight more and one less in the same row. Drift: how far a row's summed output moves, "
        "the mean over the rows; it is what the swaps are chosen to shrink.",
    )


def refinement_error(record: RunRecord) -> Chart:
    """Output error with the mask as it was scored, and as it was refined."""
    table = pairs(record, lambda linear: linear.error_before_refinement, masked_error)
    words = summary(record, table, "The refinement")
    return Chart(
        title="Error before and after the refinement",
        figure=error_figure(record, table, NAMES, "Less error"),
        table=table.rename(columns={"before": "error_before", "after": "error_after", "less": "less_error"}),
        alt=f"Dumbbells of the output error by block, before and after the swaps, and bars of the share that is gone. {words}",
        caption=f"{words} Relative error of the refined linears' outputs with the mask alone, a block's mean weighted by size. "
        "Below zero = the swaps made it worse, which a smaller drift does not rule out.",
    )


def masked_error(linear: LinearPruned) -> float:
    """The error with the final mask and no update."""
    return linear.output_error if linear.error_before_update is None else linear.error_before_update


def _swaps(record: RunRecord) -> pd.DataFrame:
    """One row a block: swaps, the weights of its refined linears, and their ratio."""
    rows = []
    for block in done_blocks(record):
        refined = [linear for linear in block.linears if linear.swaps is not None]
        if size := sum(weights(linear) for linear in refined):
            swaps = sum(linear.swaps or 0 for linear in refined)
            rows.append((block.index, swaps, size, swaps / size))
    return pd.DataFrame(rows, columns=["block", "swaps", "weights", "share"])


def _bars(swaps: pd.DataFrame) -> go.Bar:
    return go.Bar(
        x=swaps["block"],
        y=100 * swaps["share"].astype(float),
        customdata=swaps["swaps"],
        marker={"color": palette.BLUE, "cornerradius": 3},
        showlegend=False,
        hovertemplate="block %{x}<br>%{customdata:,} swaps, %{y:.2f} % of the weights<extra></extra>",
    )


def _amount(record: RunRecord, swaps: pd.DataFrame) -> str:
    if swaps.empty:
        return "Not measured." if record.blocks else "Nothing is done yet."
    total, size = int(swaps["swaps"].sum()), int(swaps["weights"].sum())
    return f"{total:,} swaps ({progress_words(record)}), {percent(total / size, 2)} of the weights that were refined."


def _drift(drift: pd.DataFrame) -> str:
    if drift.empty:
        return ""
    return f"Mean drift {drift['before'].mean():.3g} before, {drift['after'].mean():.3g} after."
