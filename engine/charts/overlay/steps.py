"""What a mask refinement and a weight update did in two runs: swaps, and an error before and after the step.

A run's marks lie on its own side of each block's number; hollow is before the step, filled is after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.changes import drift_changes, refinement_changes, update_changes
from engine.charts import palette
from engine.charts.chart import (
    FINE,
    HEIGHT,
    Chart,
    ceiling,
    largest,
    literal,
    panels,
    share_block_axis,
)
from engine.charts.dumbbells import change_table, share_range, summary
from engine.charts.figure import FigureBuilder
from engine.charts.overlay.pair import LOOKS, Look, Pair, block_bars, both_tables
from engine.charts.refinement import (
    method_of,
    refinement_error,
    refinement_swaps,
    swap_counts,
    swaps_summary,
)
from engine.charts.update import error_recovered

PANEL, REST = 100, 60  # pixels


def swaps_of_both(pair: Pair) -> Chart:
    """Return the share of weights that were swapped per block in both runs, and the errors that their
    methods lower.
    """
    singles = [refinement_swaps(run) for run in pair.runs]
    swaps = [swap_counts(run) for run in pair.runs]
    errors = [change_table(drift_changes(run)) for run in pair.runs]
    measures = [method_of(run).measure for run in pair.runs]
    # runs that lower the same error share a panel
    below = list(dict.fromkeys(name for name, table in zip(measures, errors, strict=True) if len(table)))
    titles = ["Swapped, %", *(f"Mean {measure}" for measure in below)]
    figure = pair.canvas(panels([1] * len(titles), titles), REST + PANEL * len(titles), more_lines=2)
    for run, (name, look) in enumerate(zip(pair.names, LOOKS, strict=True)):
        shares = 100 * swaps[run]["share"].astype(float)
        counts = swaps[run][["swaps", "per_row"]]
        hover = "%{customdata[0]:,} swaps, %{customdata[1]:.1f} per row, %{y:.2f} % of the weights"
        bars = block_bars(swaps[run], shares, name, look, hover, customdata=counts, showlegend=False)
        figure.add_trace(bars, row=1, col=1)
        if len(errors[run]):
            row = below.index(measures[run]) + 2
            figure.add_traces(_dumbbells(errors[run], 1, name, look, ""), row=row, col=1)
    figure.add_trace(_before("before the swaps"), row=1, col=1)
    top = ceiling(largest(value for table in swaps for value in table["share"]), FINE)
    figure.update_yaxes(nticks=4, range=[0, 104 * top], row=1, col=1)
    for row, measure in enumerate(below, start=2):
        tables = [table for table, name in zip(errors, measures, strict=True) if name == measure]
        end = ceiling(_largest_error(tables), FINE)
        figure.update_yaxes(range=[-0.06 * end, 1.08 * end], nticks=4, row=row, col=1)
    figure.update_layout(barmode="overlay")
    share_block_axis(figure, pair.blocks, len(titles))
    return _chart(pair, singles, figure, [swaps_summary(run) for run in pair.runs])


def refinement_of_both(pair: Pair) -> Chart:
    """Return the output error before and after the mask refinement in both runs."""
    singles = [refinement_error(run) for run in pair.runs]
    tables = [change_table(refinement_changes(run)) for run in pair.runs]
    words = [summary(run, table, "The refinement") for run, table in zip(pair.runs, tables, strict=True)]
    return _chart(pair, singles, _error_figure(pair, tables, "before the swaps"), words)


def recovery_of_both(pair: Pair) -> Chart:
    """Return the output error with the mask alone and after the weight update in both runs."""
    singles = [error_recovered(run) for run in pair.runs]
    tables = [change_table(update_changes(run)) for run in pair.runs]
    words = [summary(run, table, "The update") for run, table in zip(pair.runs, tables, strict=True)]
    return _chart(pair, singles, _error_figure(pair, tables, "mask alone"), words)


def _chart(pair: Pair, singles: Sequence[Chart], figure: FigureBuilder, words: Sequence[str]) -> Chart:
    """Return the chart of both with what each run's words say."""
    said = " ".join(f"{name}: {sentence}" for name, sentence in zip(pair.names, words, strict=True))
    return Chart(
        title=singles[0].title,
        figure=figure.build(),
        table=both_tables(pair, singles[0].table, singles[1].table),
        alt=f"{singles[0].title}, per block, in {pair.names[0]} and {pair.names[1]}. {said}",
        caption=f"{said} {pair.depths} Hollow: before; filled: after. A block's value is the mean of its "
        "linears.",
    )


def _error_figure(pair: Pair, tables: Sequence[pd.DataFrame], before: str) -> FigureBuilder:
    """Return dumbbells of a relative error, and below them the share of it that is no longer there."""
    figure = pair.canvas(panels([0.6, 0.4]), HEIGHT + 40, more_lines=1)
    for table, name, look in zip(tables, pair.names, LOOKS, strict=True):
        figure.add_traces(_dumbbells(table, 100, name, look, " %"), row=1, col=1)
        share = block_bars(
            table, 100 * table["less"], name, look, "error removed %{y:.1f} %", showlegend=False
        )
        figure.add_trace(share, row=2, col=1)
    figure.add_trace(_before(before), row=1, col=1)
    figure.update_layout(barmode="overlay")
    share_block_axis(figure, pair.blocks, 2)
    top = 108 * ceiling(_largest_error(tables), FINE)
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, top], row=1, col=1)
    figure.update_yaxes(
        title={"text": "Error removed, %"},
        range=share_range(pd.concat([table["less"] for table in tables])),
        zeroline=True,  # below it, the step made things worse
        zerolinecolor=palette.GREY,
        nticks=5,
        row=2,
        col=1,
    )
    return figure


def _dumbbells(table: pd.DataFrame, scale: float, name: str, look: Look, unit: str) -> list[go.Scatter]:
    """Return one run's hollow marks, filled marks, and the lines between them."""
    places = table["block"] + look.shift
    joins: list[tuple[float | None, float | None]] = []
    for place, before, after in zip(places, scale * table["before"], scale * table["after"], strict=True):
        joins += [(place, before), (place, after), (None, None)]  # None breaks the line between blocks
    join = go.Scatter(
        x=[x for x, _ in joins],
        y=[y for _, y in joins],
        mode="lines",
        line={"color": palette.GREY, "width": 1.5},
        showlegend=False,
        hoverinfo="skip",
    )
    marks = [
        go.Scatter(
            x=places,
            y=scale * table[column],
            customdata=table["block"],
            mode="markers",
            marker={"symbol": symbol, "size": 8, "color": look.colour, "line": {"width": width}},
            name=literal(name),
            legendgroup=name,
            showlegend=column == "after",
            hovertemplate=f"block %{{customdata}}<br>{column}: %{{y:.3~g}}{unit}"
            f"<extra>{literal(name)}</extra>",
        )
        for column, symbol, width in (("before", f"{look.symbol}-open", 2), ("after", look.symbol, 0))
    ]
    return [join, *marks]


def _before(words: str) -> go.Scatter:
    """Return an entry of the legend for the hollow marks of both runs."""
    marker = {"symbol": "circle-open", "size": 8, "color": palette.GREY, "line": {"width": 2}}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=f"hollow: {words}")


def _largest_error(tables: Sequence[pd.DataFrame]) -> float:
    values = [value for table in tables for value in (*table["before"], *table["after"])]
    return largest(value for value in values if isfinite(value))
