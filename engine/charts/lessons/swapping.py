"""The drawings of lesson 7: what each weight of a row adds to its output, and what swaps do to the expected
and to the real error.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.lessons.plots import Panel, pair_chart
from engine.lessons.swapping import Mended, Row, best
from engine.numbers import decimal, listed, percent

HEIGHT = 330
BACK, OUT = "▲ back", "▼ out"
STRIPES = {"shape": "/", "fillmode": "replace", "solidity": 0.35}


def contributions(row: Row) -> Chart:
    """What the output loses on average with each weight; what is removed is hatched, what was swapped last
    says so.
    """
    names = _names(len(row.kept))
    bars = [_bars(names, row, kept=True), _bars(names, row, kept=False)]
    figure = canvas(go.Figure([*bars, _labels(names, row)]), HEIGHT, legend_lines=1)
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title={"text": "Input"}, type="category", categoryarray=names)
    most, least = max(*row.changes, 0.0), min(*row.changes, 0.0)
    room = 0.16 * (most - least)
    figure.update_yaxes(
        title={"text": "c = w · m"},
        range=[least - room, most + room],
        zeroline=True,
        zerolinecolor=palette.GREY,
    )
    return Chart(
        title="What each weight adds to the output on average",
        figure=figure,
        table=_table(names, row),
        alt=f"Bar chart of what each of {len(names)} weights adds to the output on average. Removed: {listed(_removed(names, row), len(names))}. "
        f"Their sum, e, is {decimal(row.drift, 1)}. {_last_swap(row)}",
        caption=f"c = w · m, the weight times the mean of its input, summed over a window's tokens. Hatched: removed. e = {decimal(row.drift, 1)} "
        f"is the sum of the hatched bars. {_last_swap(row)}".rstrip(),
    )


def _names(count: int) -> list[str]:
    return [f"x{column + 1}" for column in range(count)]


def _bars(names: Sequence[str], row: Row, *, kept: bool) -> go.Bar:
    marker = {"color": palette.BLUE} if kept else {"color": palette.VERMILLION, "pattern": STRIPES}
    columns = [column for column, stays in enumerate(row.kept) if stays == kept]
    return go.Bar(
        x=[names[column] for column in columns],
        y=[row.changes[column] for column in columns],
        width=0.75,
        name="stays" if kept else "removed",
        marker=marker,
        customdata=[[row.weights[column], row.means[column]] for column in columns],
        hovertemplate="%{x}: w %{customdata[0]:.2f} · mean input %{customdata[1]:.2f}, over a window %{y:.1f}<extra></extra>",
    )


def _labels(names: Sequence[str], row: Row) -> go.Scatter:
    """Words at the two that the last swap exchanged, outside of their bars."""
    marked = [] if row.swapped is None else list(zip(row.swapped, (BACK, OUT), strict=True))
    return go.Scatter(
        x=[names[column] for column, _ in marked],
        y=[row.changes[column] for column, _ in marked],
        mode="text",
        text=[word for _, word in marked],
        textposition=["top center" if row.changes[column] > 0 else "bottom center" for column, _ in marked],
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
            "asks to come back": pd.Series(row.growing, dtype=float),
            "can be spared": pd.Series(row.leaving, dtype=float),
        }
    )


def _removed(names: Sequence[str], row: Row) -> list[str]:
    return [name for name, kept in zip(names, row.kept, strict=True) if not kept]


def _last_swap(row: Row) -> str:
    return (
        ""
        if row.swapped is None
        else f"The last swap brought x{row.swapped[0] + 1} back and removed x{row.swapped[1] + 1}."
    )


def candidates(row: Row) -> pd.DataFrame:
    """Who may come back and who may go next, the first choice of each on top, as two columns of words."""
    back = [f"{name} ({decimal(rank, 1)})" for name, rank in _ranked(row.growing)]
    out = [f"{name} ({decimal(-rank, 1)})" for name, rank in _ranked(row.leaving)]
    longest = max(len(back), len(out))
    columns = {"may come back (how much it asks to)": back, "may go (its score)": out}
    return pd.DataFrame({title: [*words, *[""] * (longest - len(words))] for title, words in columns.items()})


def _ranked(ranks: Sequence[float | None]) -> list[tuple[str, float]]:
    found = [(f"x{column + 1}", rank) for column, rank in enumerate(ranks) if rank is not None]
    return sorted(found, key=lambda item: -item[1])


def swap_by_swap(rows: Sequence[Row], at: int) -> Chart:
    """The expected error of the row behind each swap, and the real error of its output."""
    drifts, errors = [row.drift for row in rows], [row.error for row in rows]
    told = ", ".join(decimal(drift, 1) for drift in drifts)
    return pair_chart(
        list(range(len(rows))),
        Panel("Expected error e", drifts),
        Panel("Error of the output on the text, %", errors, scale=100),
        axis="Swaps",
        at=at,
        title="Expected and real error, swap by swap",
        alt=f"Two line charts over the swaps. Expected error: {told}. Error of the output: {', '.join(percent(error) for error in errors)}.",
        caption="Above: what the row is expected to lose, summed over a window's tokens. Below: ‖Xw − Xw′‖ / ‖Xw‖ over all tokens.",
    )


def many_swaps(states: Sequence[Mended]) -> Chart:
    """The same for a matrix, and many swaps."""
    least = best(tuple(states))
    return pair_chart(
        [state.cycles for state in states],
        Panel("Mean of |e|, % of before", [state.drift for state in states], scale=100),
        Panel("Error of the output, %", [state.error for state in states], scale=100),
        axis="Swaps that each row may make",
        at=least.cycles,
        title="A matrix of 64 × 96: expected and real error",
        alt=f"Two line charts over the number of swaps. The mean of |e| falls to {percent(min(state.drift for state in states), 0)} of what it was. "
        f"The error of the output goes from {percent(states[0].error)} to {percent(states[-1].error)}, the least is {percent(least.error)} "
        f"with {least.cycles} swaps.",
        caption=f"Dotted: the least error of the output, {percent(least.error)} with {least.cycles} swaps a row; without a swap "
        f"{percent(states[0].error)}, with {states[-1].cycles} swaps {percent(states[-1].error)}.",
    )
