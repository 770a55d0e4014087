"""Charts of lesson 7: the mean contribution of each weight of a row, and the effect of swaps on the expected
and on the real error.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.plots import STRIPES, Panel, pair_chart
from engine.charts.lessons.shared import shared
from engine.lessons.mask_refinement import RefinedMatrix, Row, best
from engine.numbers import decimal, listed, percent

HEIGHT = 330  # pixels
RESTORED, REMOVED = "▲ restored", "▼ removed"


@shared
def contributions(row: Row) -> Chart:
    """Plot the mean contribution of each weight to the output.

    Removed weights are hatched; the two of the last swap are labelled.
    """
    names = [f"x{column + 1}" for column in range(len(row.kept))]
    bars = [_bars(names, row, kept=True), _bars(names, row, kept=False)]
    figure = canvas(FigureBuilder([*bars, _labels(names, row)]), HEIGHT, legend_lines=1)
    figure.update_layout(barmode="overlay")  # two traces, each with its own columns: not side by side
    # two traces: without it, all kept inputs would come first
    figure.update_xaxes(title={"text": "Input"}, type="category", categoryarray=names)
    most, least = max(*row.changes, 0.0), min(*row.changes, 0.0)  # contributions have both signs
    room = 0.16 * (most - least)  # for the labels beyond the ends of the bars
    figure.update_yaxes(
        title={"text": "c = w · m"},
        range=[least - room, most + room],
        zeroline=True,
        zerolinecolor=palette.GREY,
    )
    removed = [name for name, kept in zip(names, row.kept, strict=True) if not kept]
    last = (
        f" The last swap restored x{row.swapped[0] + 1} and removed x{row.swapped[1] + 1}."
        if row.swapped
        else ""
    )
    return Chart(
        title="Mean contribution of each weight to the output",
        figure=figure.build(),
        table=_table(names, row),
        alt=f"Bar chart of the mean contribution of each of {len(names)} weights to the output. "
        f"Removed: {listed(removed, len(names))}. Their sum, e, is {decimal(row.drift, 1)}.{last}",
        caption="c = w · m, the weight times the mean of its input, summed over the tokens of a window. "
        "Hatched: removed. "
        f"e = {decimal(row.drift, 1)} is the sum of the hatched bars.{last}",
    )


def _bars(names: Sequence[str], row: Row, *, kept: bool) -> go.Bar:
    # Stripes, so that removed bars differ without colour.
    marker = {"color": palette.BLUE} if kept else {"color": palette.VERMILLION, "pattern": STRIPES}
    columns = [column for column, is_kept in enumerate(row.kept) if is_kept == kept]
    return go.Bar(
        x=[names[column] for column in columns],
        y=[row.changes[column] for column in columns],
        width=0.75,
        name="kept" if kept else "removed",
        marker=marker,
        customdata=[[row.weights[column], row.means[column]] for column in columns],
        hovertemplate="%{x}: w %{customdata[0]:.2f} · mean input %{customdata[1]:.2f}, "
        "per window %{y:.1f}<extra></extra>",
    )


def _labels(names: Sequence[str], row: Row) -> go.Scatter:
    """Label the two weights that the last swap exchanged, outside of their bars."""
    labels = [] if row.swapped is None else list(zip(row.swapped, (RESTORED, REMOVED), strict=True))
    return go.Scatter(
        x=[names[column] for column, _ in labels],
        y=[row.changes[column] for column, _ in labels],
        mode="text",
        text=[word for _, word in labels],
        textposition=["top center" if row.changes[column] > 0 else "bottom center" for column, _ in labels],
        showlegend=False,
        hoverinfo="skip",
    )


def _table(names: Sequence[str], row: Row) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "input": names,
            "weight": row.weights,
            "mean input": row.means,
            "c": row.changes,
            "kept": row.kept,
            "rank to restore": pd.Series(row.growing, dtype=float),  # a float column shows None as empty
            "rank to remove": pd.Series(row.leaving, dtype=float),
        }
    )


def candidates(row: Row) -> pd.DataFrame:
    """Return the candidates for the next swap as two columns of text, the first choice of each on top."""
    restore = [f"{name} ({decimal(rank, 1)})" for name, rank in _ranked(row.growing)]
    # a rank is the negated score, so the largest rank goes first
    remove = [f"{name} ({decimal(-rank, 1)})" for name, rank in _ranked(row.leaving)]
    longest = max(len(restore), len(remove))
    columns = {"restore (gain)": restore, "remove (score)": remove}
    return pd.DataFrame({title: [*names, *[""] * (longest - len(names))] for title, names in columns.items()})


def _ranked(ranks: Sequence[float | None]) -> list[tuple[str, float]]:
    candidates = [(f"x{column + 1}", rank) for column, rank in enumerate(ranks) if rank is not None]
    return sorted(candidates, key=lambda item: -item[1])


def swap_by_swap(rows: Sequence[Row], at: int) -> Chart:
    """Plot the expected error and the real output error of the row after each swap."""
    drifts, errors = [row.drift for row in rows], [row.error for row in rows]
    return pair_chart(
        list(range(len(rows))),
        Panel("Expected error e", drifts),
        Panel("Output error on the text, %", errors, scale=100),
        axis="Swaps",
        at=at,
        title="Expected and real error, swap by swap",
        alt="Two line charts over the swaps. Expected error: "
        f"{', '.join(decimal(drift, 1) for drift in drifts)}. "
        f"Output error: {', '.join(percent(error) for error in errors)}.",
        caption="Top: the expected loss of the row, summed over the tokens of a window. "
        "Bottom: ‖Xw − Xw′‖ / ‖Xw‖ over all tokens.",
    )


def many_swaps(states: Sequence[RefinedMatrix]) -> Chart:
    """Plot the expected error and the real output error of a matrix for up to many swaps."""
    least = best(tuple(states))
    return pair_chart(
        [state.cycles for state in states],
        Panel("Mean of |e|, % of the value without swaps", [state.drift for state in states], scale=100),
        Panel("Output error, %", [state.error for state in states], scale=100),
        axis="Maximum swaps per row",
        at=least.cycles,
        title="A 64 × 96 matrix: expected and real error",
        alt="Two line charts over the number of swaps. "
        f"The mean of |e| falls to {percent(min(state.drift for state in states), 0)} of its value without "
        "swaps. "
        f"The output error goes from {percent(states[0].error)} to {percent(states[-1].error)}; its minimum "
        "is "
        f"{percent(least.error)} with {least.cycles} swaps.",
        caption=f"Dotted: the smallest output error, {percent(least.error)} with {least.cycles} swaps per "
        "row. "
        f"Without swaps it is {percent(states[0].error)}, with {states[-1].cycles} swaps "
        f"{percent(states[-1].error)}.",
    )
