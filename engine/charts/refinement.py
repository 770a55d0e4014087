"""What a mask refinement did: how many weights it swapped, and what that did to the error that it lowers and
to the output error.

What a method lowers nearly always falls, because swaps are chosen to reduce it. The output error need not, so
it has its own chart.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.changes import drift_changes, refinement_changes, size_of
from engine.analysis.explanations import corrections
from engine.charts import palette
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
from engine.charts.dumbbells import change_table, dumbbells, error_figure, summary
from engine.numbers import percent
from engine.pruning.axes import REFINEMENTS, Refinement
from engine.record import RunRecord

NAMES = ("before the swaps", "after the swaps")


def refinement_swaps(record: RunRecord) -> Chart:
    """Return the share of weights that were swapped per block, and the error that the method lowers before
    and after.
    """
    method, swaps, drift = method_of(record), swap_counts(record), change_table(drift_changes(record))
    # before the first block the panel is drawn empty, as its place is kept
    has_drift = not drift.empty or not record.blocks
    figure = canvas(
        panels([0.5, 0.5] if has_drift else [1]),
        HEIGHT + 40 if has_drift else HEIGHT,
        legend_lines=1 if has_drift else 0,
    )
    figure.add_trace(_swap_bars(swaps), row=1, col=1)
    top = ceiling(largest(swaps["share"]), FINE) if len(swaps) else 0.1
    # percent, and 4 % of space
    figure.update_yaxes(title={"text": "Swapped, %"}, nticks=4, range=[0, 104 * top], row=1, col=1)
    if has_drift:
        figure.add_traces(dumbbells(drift, 1, NAMES, ""), row=2, col=1)
        top = ceiling(largest([*drift["before"], *drift["after"]]), FINE)
        figure.update_yaxes(
            title={"text": f"Mean {method.measure}"},
            range=[-0.06 * top, 1.08 * top],  # marks at 0 and at the top are not cut
            nticks=4,
            row=2,
            col=1,
        )
    share_block_axis(figure, block_count(record), 2 if has_drift else 1)
    columns = {"before": "drift_before", "after": "drift_after"}
    words = swaps_summary(record)
    return Chart(
        title="Swaps of the mask refinement",
        figure=figure.build(),
        table=swaps.merge(drift.drop(columns="less").rename(columns=columns), on="block", how="outer"),
        alt="Bars of the share of weights swapped per block"
        f"{f', and dumbbells of the {method.measure} before and after' if has_drift else ''}. {words}",
        caption=f"{words} A swap restores one weight and removes another one of the same row. "
        f"{method.measured} Swaps are chosen to reduce it.",
        explain=partial(corrections.swaps, record),
    )


def refinement_error(record: RunRecord) -> Chart:
    """Return the output error with the mask as it was scored, and as it was refined."""
    table = change_table(refinement_changes(record))
    words = summary(record, table, "The refinement")
    return Chart(
        title="Output error before and after the mask refinement",
        figure=error_figure(record, table, NAMES, "Error removed"),
        table=table.rename(
            columns={"before": "error_before", "after": "error_after", "less": "error_removed"}
        ),
        alt="Dumbbells of the output error per block, before and after the swaps, and bars of the share "
        f"removed. {words}",
        caption=f"{words} Relative error of the refined linears' outputs with the mask alone; a block's "
        "value is their mean, weighted by size. Below zero, the swaps made it worse; a smaller drift does "
        "not rule that out.",
        explain=partial(corrections.refinement, record),
    )


def method_of(record: RunRecord) -> Refinement:
    """Return the run's mask refinement."""
    return REFINEMENTS.named(record.recipe.refinement if record.recipe else "none")


def swaps_summary(record: RunRecord) -> str:
    """Return how many weights were swapped, and what that did to the error that the method lowers."""
    drift = change_table(drift_changes(record))
    return f"{_swap_words(record, swap_counts(record))} {_drift_words(method_of(record), drift)}".rstrip()


def swap_counts(record: RunRecord) -> pd.DataFrame:
    """Return one line per block: swaps, the weights and rows of its refined linears, and swaps per weight and
    row.
    """
    table = []
    for block in done_blocks(record):
        # None: this linear was not refined; 0: it was, but without a swap
        refined = [linear for linear in block.linears if linear.swaps is not None]
        if size := sum(size_of(linear) for linear in refined):
            swaps, neurons = sum(linear.swaps or 0 for linear in refined), sum(each.rows for each in refined)
            table.append((block.index, swaps, size, neurons, swaps / size, swaps / neurons))
    return pd.DataFrame(table, columns=["block", "swaps", "weights", "rows", "share", "per_row"])


def _swap_bars(swaps: pd.DataFrame) -> go.Bar:
    return go.Bar(
        x=swaps["block"],
        y=100 * swaps["share"].astype(float),
        customdata=swaps[["swaps", "per_row"]],
        marker={"color": palette.BLUE, "cornerradius": 3},
        showlegend=False,
        hovertemplate="block %{x}<br>%{customdata[0]:,} swaps, %{customdata[1]:.1f} per row, "
        "%{y:.2f} % of the weights<extra></extra>",
    )


def _swap_words(record: RunRecord, swaps: pd.DataFrame) -> str:
    if swaps.empty:
        return "Not measured." if record.blocks else "No block is finished yet."
    total, size, rows = (int(swaps[column].sum()) for column in ("swaps", "weights", "rows"))
    return (
        f"{total:,} swaps ({progress_words(record)}), {total / rows:.3g} per row, {percent(total / size, 2)} "
        "of the refined weights."
    )


def _drift_words(method: Refinement, drift: pd.DataFrame) -> str:
    if drift.empty:
        return ""
    before, after = drift["before"].mean(), drift["after"].mean()
    return f"Mean {method.measure} {before:.3g} before, {after:.3g} after."
