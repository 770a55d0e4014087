"""Charts of lesson 9: masks of a small layer and their errors, and local errors against perplexity."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas, name_rows
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart
from engine.lessons.own_score import BEST, TITLES, USER, Race
from engine.lessons.own_score_runs import RIVAL, Repeat, Way, place_of_first, verdict
from engine.numbers import listed, percent, perplexity, signed

STRENGTH = "a<sub>j</sub>"  # Plotly renders a subset of HTML
WAYS_HEIGHT, REPEAT, REPEATS_EDGE = 380, 34, 96
"""Pixels; the last two are those of a row, and of the legend and the axis."""


def plain_matrix(race: Race) -> Chart:
    """Plot the weights of a layer before they are pruned, and the strengths of its inputs."""
    strengths = listed([f"{strength:.2g}" for strength in race.strengths], len(race.strengths))
    return matrix_chart(
        Matrix(race.weights, above=Bars(STRENGTH, race.strengths)),
        title="The layer and the strengths of its inputs",
        alt=f"Heat map of the weights of a layer. Strengths of the inputs: {strengths}.",
        caption="Rows are outputs, columns are inputs. Above: a, the strength of each input.",
    )


def masked_matrix(race: Race, name: str, other: str | None = None) -> Chart:
    """Plot the weights that one racer removes.

    Args:
        name: of the racer.
        other: of a racer to compare with: cells that only one of the two removes get a frame.
    """
    racer = race.racer(name)
    removed = [row.count(False) for row in racer.kept]
    marked = () if other is None else racer.differences(race.racer(other))
    compared = "" if other is None else f" {_differences(len(marked), TITLES[other])}"
    return matrix_chart(
        Matrix(
            race.weights,
            racer.kept,
            above=Bars(STRENGTH, race.strengths),
            right=Bars("error, %", [100 * error for error in racer.row_errors]),
            marked=marked,
        ),
        title=f"Weights removed by {_in_title(racer.title)}",
        alt=f"Heat map of the weights; crosses mark the removed ones. Removed per row: "
        f"{listed(removed, len(removed))}. Output error {percent(racer.error)}.{compared}",
        caption="Crosses mark removed weights. Above: the strength of each input. Right: the part of the "
        f"error in each output.{compared}",
    )


def _differences(count: int, other: str) -> str:
    if not count:
        return f"The same mask as that of {_in_title(other)}."
    return f"Frames: {count} weights on which this mask and that of {_in_title(other)} differ."


def _in_title(title: str) -> str:
    """Return a racer's title within a sentence: names of methods keep their capital letter."""
    return {TITLES[USER]: "your formula", TITLES[BEST]: "the best choice"}.get(title, title)


def errors(race: Race, sparsity: float) -> Chart:
    """Plot the output error of each racer, the smallest on top."""
    bars = [
        Bar(
            racer.title,
            racer.error,
            highlighted=racer.name == USER,
            second_kind=racer.name == BEST,
            note="found by trying all masks" if racer.name == BEST else "",
        )
        for racer in race.racers
    ]
    quoted = ", ".join(f"{racer.title} {percent(racer.error)}" for racer in race.racers)
    tried = any(racer.name == USER for racer in race.racers)
    return bar_chart(
        bars,
        axis="Output error, %",
        title=f"Output error at {percent(sparsity, 0)}",
        alt=f"Bar chart of output errors, the smallest first: {quoted}.",
        caption=f"{'Hatched: yours. ' if tried else ''}Green: the mask with the smallest error in each row, "
        f"found by trying all of them. {_gaps(race)}",
    )


def _gaps(race: Race) -> str:
    """Return how much larger the errors of the scores are than that of the best mask."""
    best = race.racer(BEST).error
    gaps = [
        f"{_in_title(racer.title)} {signed(100 * (racer.error / best - 1), 0)} %"
        for racer in race.racers
        if racer.name != BEST
    ]
    return f"Distance to it: {listed(gaps)}."


def local_and_global(found: Sequence[Way], sparsity: float) -> Chart:
    """Plot the mean output error of the linears against the perplexity, a mark per recorded run."""
    first, lowest, place = found[0], min(found, key=lambda way: way.perplexity), place_of_first(found)
    figure = canvas(
        FigureBuilder(
            go.Scatter(
                x=[100 * way.error for way in found],
                y=[way.perplexity for way in found],
                text=[way.name for way in found],
                mode="markers+text",
                # Alternating, because neighbours by error often have close perplexities.
                textposition=["top center" if at % 2 else "bottom center" for at in range(len(found))],
                cliponaxis=False,
                marker={
                    "color": [palette.VERMILLION if way == first else palette.BLUE for way in found],
                    "symbol": ["diamond" if way == first else "circle" for way in found],
                    "size": [15 if way == first else 11 for way in found],
                },
                hovertemplate="%{text}: error %{x:.1f} %, perplexity %{y:,.1f}<extra></extra>",
            )
        ),
        WAYS_HEIGHT,
    )
    figure.update_xaxes(title={"text": "Mean output error of the linears, %"}, showgrid=True)
    figure.update_yaxes(title={"text": "Perplexity of the pruned model"}, type="log", nticks=6)
    summary = (
        f"By mean error {first.name} is the first of {len(found)}, by perplexity number {place + 1}. "
        f"{lowest.name} has the lowest perplexity, {perplexity(lowest.perplexity)}."
    )
    quoted = listed(
        [f"{way.name} {percent(way.error)} and {perplexity(way.perplexity)}" for way in found], len(found)
    )
    return Chart(
        title=f"Local error and perplexity at {percent(sparsity, 0)}",
        figure=figure.build(),
        table=pd.DataFrame(
            [(way.name, way.error, way.perplexity) for way in found],
            columns=["score", "mean output error", "perplexity"],
        ),
        alt=f"Scatter chart of mean output error and perplexity of recorded runs: {quoted}.",
        caption=f"Recorded runs of the bundled model. {summary} Diamond: the smallest mean error.",
    )


def repeats(found: Sequence[Repeat], sparsity: float) -> Chart:
    """Plot the perplexities of the user's formula and of its rival, a row per condition."""
    rival = TITLES[RIVAL]
    rows = list(range(len(found)))
    marks = (
        (rival, [one.rival for one in found], {"symbol": "circle", "size": 12, "color": palette.BLUE}),
        (
            TITLES[USER],
            [one.mine for one in found],
            {"symbol": "star", "size": 16, "color": palette.ORANGE},
        ),
    )
    figure = canvas(FigureBuilder(), REPEAT * len(found) + REPEATS_EDGE, legend_lines=1)
    for one, row in zip(found, rows, strict=True):
        figure.add_shape(
            type="line",
            layer="below",
            line={"color": palette.GREY, "width": 2},
            x0=one.rival,
            x1=one.mine,
            y0=row,
            y1=row,
        )
    for name, values, marker in marks:
        figure.add_trace(
            go.Scatter(
                x=values,
                y=rows,
                name=name,
                mode="markers",
                marker={**marker, "opacity": 1},
                hovertemplate=f"{name}: %{{x:,.2f}}<extra></extra>",
            )
        )
    name_rows(figure, [one.condition for one in found])
    figure.update_xaxes(title={"text": "Perplexity of the pruned model"}, showgrid=True, nticks=6)
    quoted = listed([f"{one.condition} {perplexity(one.mine)} and {perplexity(one.rival)}" for one in found])
    return Chart(
        title=f"Repeated at {percent(sparsity, 0)}",
        figure=figure.build(),
        table=pd.DataFrame(
            [(one.condition, one.mine, one.rival, one.difference) for one in found],
            columns=["condition", "your formula", rival, "difference"],
        ),
        alt=f"Dot chart of perplexities, your formula and {rival}: {quoted}.",
        caption=f"Star: your formula. {verdict(found) if len(found) > 1 else 'The repeats are missing.'}",
    )
