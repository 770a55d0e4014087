"""The sparsity of each block in two runs as grouped bars, and above them what their allocations measured."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.allocation import MOST_LABELS, TOP, allocation_bars, measured_quantity
from engine.charts.chart import HEIGHT, Chart, panels, share_block_axis
from engine.charts.overlay.pair import LOOKS, Look, Pair, block_bars, block_line, both_tables, most_different
from engine.numbers import percent

PANEL = 100  # pixels


def allocation_of_both(pair: Pair) -> Chart:
    """Return the sparsity of each block in both runs, and the quantities that they were derived from."""
    singles = [allocation_bars(run) for run in pair.runs]
    quantities = [measured_quantity(run) for run in pair.runs]
    above = list(dict.fromkeys(filter(None, quantities)))  # runs with the same quantity share a panel
    last = len(above) + 1
    titles = [f"{quantity[0].upper()}{quantity[1:]}" for quantity in above]
    figure = panels([*[0.4] * len(above), 0.6], [*titles, "Sparsity, %"] if above else (), 0.16)
    pair.canvas(figure, HEIGHT + PANEL * len(above), more_lines=1)
    for run in (0, 1):
        table, name, look = singles[run].table, pair.names[run], LOOKS[run]
        if quantities[run]:
            figure.add_trace(
                block_line(table, table["measured"], name, look, "%{y:.4g}", legend=False),
                row=above.index(quantities[run]) + 1,
                col=1,
            )
        figure.add_trace(_sparsities(table, name, look, pair.blocks), row=last, col=1)
    figure.add_traces(_targets(pair), row=last, col=1)
    figure.update_layout(barmode="overlay")  # each run's bars have their own side of the block
    share_block_axis(figure, pair.blocks, last)
    figure.update_yaxes(
        title={"text": "Sparsity, %"}, range=[0, TOP], tickvals=[0, 25, 50, 75, 100], row=last, col=1
    )
    first, second = (_by_block(single.table) for single in singles)
    result = most_different(pair, (first, second), percent)
    clipped = "Stripes: clipped at a limit. " if any(run.clipped for run in pair.runs) else ""
    return Chart(
        title=singles[0].title,
        figure=figure.build(),
        table=both_tables(pair, singles[0].table, singles[1].table),
        alt=f"Grouped bars of the sparsity per block in {pair.names[0]} and {pair.names[1]}. {result}",
        caption=f"{result} {clipped}Dashed: the target, which is the mean over all weights.",
    )


def _by_block(table: pd.DataFrame) -> dict[int, float]:
    known = table.dropna(subset="sparsity")
    return {int(block): share for block, share in zip(known["block"], known["sparsity"], strict=True)}


def _sparsities(table: pd.DataFrame, name: str, look: Look, total: int) -> go.Bar:
    numbers = (
        [f"{100 * ratio:.0f}" for ratio in table["sparsity"].dropna()] if total <= MOST_LABELS / 2 else None
    )
    bars = block_bars(table, 100 * table["sparsity"], name, look, "sparsity %{y:.2f} %", text=numbers)
    shapes = ["/" if held else "" for held in table["held"]]
    bars.update(
        marker={"cornerradius": 0, "pattern": {"shape": shapes, "fillmode": "replace", "solidity": 0.4}},
        textposition="inside",
        textangle=0,
        insidetextanchor="start",
        constraintext="inside",
    )
    return bars


def _targets(pair: Pair) -> list[go.Scatter]:
    """Return a line per target: one if both runs have the same."""
    found = dict.fromkeys(run.sparsity.target for run in pair.runs if run.recipe is not None)
    return [
        go.Scatter(
            x=[-0.5, pair.blocks - 0.5],
            y=[100 * target] * 2,
            mode="lines",
            line={"color": palette.GREY, "width": 2, "dash": "dash"},
            name=f"target {percent(target)}",
            hoverinfo="skip",
        )
        for target in found
        if target is not None
    ]
