"""The searches of two runs, one panel each, and the blocks in which their best candidates gain on uniform.

The panels share their axes if the searches vary the same number and lower the same objective.
"""

from __future__ import annotations

from itertools import chain

import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import HEIGHT, Chart, block_axis, canvas, largest, literal, panels, unit_of
from engine.charts.figure import FigureBuilder
from engine.charts.overlay.pair import LOOKS, WIDTH, Pair, block_bars, both_tables
from engine.charts.search import (
    alignment_against_uniform,
    curves,
    evolves,
    gain_over_uniform,
    objective_title,
    objective_words,
    outcome,
    search_curves,
    strength_end,
    value_range,
)
from engine.record import RunRecord


def searches_of_both(pair: Pair) -> Chart:
    """Return the objective over the strength or the generation, one panel per run."""
    singles = [search_curves(run) for run in pair.runs]
    same_objective = objective_words(pair.first) == objective_words(pair.second)
    same_axis = evolves(pair.first) == evolves(pair.second)
    figure = panels([1, 1], [*map(literal, pair.names)], 0.14 if same_axis else 0.26)
    canvas(figure, 2 * HEIGHT, legend_lines=3)  # on a narrow page, two and the first panel's title
    units = [unit_of(largest(tried.objective for tried in run.search)) for run in pair.runs]
    if same_objective:
        units = [max(units)] * 2
    named: set[str] = set()
    for row, (run, (unit, words)) in enumerate(zip(pair.runs, units, strict=True), start=1):
        for trace in curves(run, unit):
            trace.update(showlegend=trace.showlegend is not False and trace.name not in named)
            named.add(trace.name)
            trace.update(cliponaxis=False)  # the labels of the chosen ones reach beyond the panel
            figure.add_trace(trace, row=row, col=1)
        others = pair.runs if same_objective else (run,)
        span = value_range([tried.objective / unit for one in others for tried in one.search])
        figure.update_yaxes(title={"text": objective_title(unit, words)}, range=span, row=row, col=1)
        ends = pair.runs if same_axis else (run,)
        end = max(map(strength_end, ends))
        figure.update_xaxes(range=[-0.04 * end, 1.04 * end], row=row, col=1)
        if row == 2 or not same_axis:
            figure.update_xaxes(title={"text": _strengths(run)}, row=row, col=1)
    if not same_axis:
        figure.update_xaxes(matches=None, showticklabels=True)
    said = " ".join(f"{name}: {outcome(run)}" for name, run in zip(pair.names, pair.runs, strict=True))
    apart = (
        "" if same_objective else "The two lower different objectives, so their values cannot be compared. "
    )
    explained = " ".join(dict.fromkeys(map(objective_words, pair.runs)))
    return Chart(
        title="Search: objective over "
        + " and ".join(dict.fromkeys(_strengths(run).lower() for run in pair.runs)),
        figure=figure.build(),
        table=both_tables(pair, singles[0].table, singles[1].table),
        alt=f"Two line charts of a search's objective, {pair.names[0]} and {pair.names[1]}. {said}",
        caption=f"{said} {apart}{explained}",
    )


def _strengths(run: RunRecord) -> str:
    return "Generation" if evolves(run) else "Strength λ"


def best_of_both(pair: Pair) -> Chart:
    """Return each block's alignment with the best candidate of both searches, in outlines of uniform."""
    singles = [alignment_against_uniform(run) for run in pair.runs]
    tables = [single.table for single in singles]
    unit, words = unit_of(
        largest(chain.from_iterable((*table["best"], *table["uniform"]) for table in tables))
    )
    figure = pair.canvas(FigureBuilder(), more_lines=1)
    for table, name, look in zip(tables, pair.names, LOOKS, strict=True):
        figure.add_trace(
            go.Bar(
                x=table["block"],
                y=table["uniform"] / unit,
                offset=look.shift - WIDTH / 2,
                width=WIDTH,
                marker={"color": palette.TRANSPARENT, "line": {"color": palette.GREY, "width": 2}},
                name="uniform",
                showlegend=look is LOOKS[0],
                customdata=table["uniform"],
                hovertemplate="block %{x}, uniform<br>distance %{customdata:.3e}"
                f"<extra>{literal(name)}</extra>",
            )
        )
        best = table["best"]
        hover = "best candidate<br>distance %{customdata:.3e}"
        figure.add_trace(block_bars(table, best / unit, name, look, hover, customdata=best))
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(**block_axis(pair.blocks))
    figure.update_yaxes(title={"text": f"Distance A, {words}"}, rangemode="tozero")
    said = " ".join(
        f"{name}: {gain_over_uniform(run)}" for name, run in zip(pair.names, pair.runs, strict=True)
    )
    return Chart(
        title="Neuron alignment of the best candidates and of uniform",
        figure=figure.build(),
        table=both_tables(pair, *tables),
        alt=f"Grouped bars of the neuron alignment distance per block in {pair.names[0]} and "
        f"{pair.names[1]}, with outlines of uniform. {said}",
        caption=f"{said} {pair.depths} Measured on each search's own windows; 0 = neurons are as active as "
        "in the dense model.",
    )
