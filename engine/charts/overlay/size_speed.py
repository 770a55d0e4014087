"""Size and speed of two runs: the bytes of their models in each format, and the times relative to the dense
model, which was timed in turn with each.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, literal, name_rows
from engine.charts.figure import FigureBuilder
from engine.charts.overlay.pair import LOOKS, Pair, both_tables
from engine.charts.size_speed import WHERE, end_labels, protocol, size_table, speed_table
from engine.numbers import listed, milliseconds, percent, size

if TYPE_CHECKING:  # these import torch, which a page must not load
    from engine.analysis.size_speed import Measurement
    from engine.evaluation.size import SizeReport
    from engine.evaluation.speed import Stage

LINE, REST = 52, 64  # pixels of two bars, and around all of them
WITH_LABELS = 1.6  # length of the axis in longest bars
LABEL = 0.24  # length of a label, as a share of the axis
GAP = 0.25  # between two rows, in rows


def sizes_of_both(pair: Pair, found: tuple[SizeReport, SizeReport]) -> Chart:
    """Return the bytes of both pruned models in each format."""
    tables = [size_table(report) for report in found]
    pruned = [
        dict(zip(table["format"], table["bytes"], strict=True))
        for table in (table[table["model"] == "pruned"] for table in tables)
    ]
    formats = [name for name in _in_order(pruned) if name != "zeros stored"]  # as large as dense
    unit, name = (1e9, "GB") if found[0].dense >= 1e9 else (1e6, "MB")
    values = [[sizes.get(one) for one in formats] for sizes in pruned]
    labels = [
        [f"{size(total)} · {percent(total / report.dense, 0)}" if total else "" for total in row]
        for row, report in zip(values, found, strict=True)
    ]
    lengths = [[total and total / unit for total in row] for row in values]
    figure = _bars(pair, formats, lengths, labels, found[0].dense / unit)
    figure.update_xaxes(title={"text": f"Size of the whole model, {name}"})
    said = [
        f"{one}: {listed([f'{label} as {row}' for row, label in zip(formats, texts, strict=True) if label])}."
        for one, texts in zip(pair.names, labels, strict=True)
    ]
    of = "" if found[0].dense == found[1].dense else f": {pair.names[0]}'s"
    return Chart(
        title="Size by format",
        figure=figure.build(),
        table=both_tables(pair, *tables),
        alt=f"Two bars per format, one for each run. {' '.join(said)}",
        caption=f"Shares are of the dense model (dashed{of}). As stored zeros, a model is as large as that.",
    )


def latencies_of_both(pair: Pair, found: tuple[Measurement, Measurement]) -> Chart:
    """Return the times of both pruned models for the prompt and for one more token."""
    times = [_relative(measurement) for measurement in found]
    rows = _in_order(times)
    values = [[one[row][0] if row in one else None for row in rows] for one in times]
    labels = [[one[row][1] if row in one else "" for row in rows] for one in times]
    figure = _bars(pair, rows, values, labels, 1.0)
    figure.update_xaxes(title={"text": "Time relative to the dense model"})
    said = [
        f"{name}: {listed([f'{one[row][1]} for {row}' for row in rows if row in one])}."
        for name, one in zip(pair.names, times, strict=True)
    ]
    notes = dict.fromkeys(f"{protocol(measurement)}." for measurement in found)
    return Chart(
        title="Latency of the prompt and of one more token",
        figure=figure.build(),
        table=both_tables(pair, *(speed_table(measurement.speed) for measurement in found)),
        alt=f"Two bars per stage, one for each run. {' '.join(said)}",
        caption=f"Dashed: the dense model, which was timed in turn with each of them. {' '.join(notes)}",
    )


def _relative(found: Measurement) -> dict[str, tuple[float, str]]:
    """Return the times of a run's model by what was timed: relative to its dense model, and in words."""
    stages: list[Stage] = ["prefill", "token"]
    rows = {}
    for stage in stages:
        for timing in found.speed.timings:
            ratio = found.speed.ratio(stage, timing.model)
            if timing.stage == stage and timing.model != "dense" and ratio is not None:
                kernels = "" if timing.model == "pruned" else f", {timing.model} kernels"
                label = f"× {ratio:.2f} · {milliseconds(timing.median)}"
                rows[f"{WHERE[stage]}{kernels}"] = (ratio, label)
    return rows


def _bars(
    pair: Pair, rows: list[str], values: list[list[float | None]], labels: list[list[str]], dense: float
) -> FigureBuilder:
    """Return two bars per row, the first run's on top, with a line at the dense model's value."""
    figure = FigureBuilder()
    longest = max((value for row in values for value in row if value is not None), default=dense)
    span = WITH_LABELS * max(longest, dense)
    for look, name, lengths, texts, side in zip(LOOKS, pair.names, values, labels, (-1, 1), strict=True):
        figure.add_trace(
            go.Bar(
                x=lengths,
                y=list(range(len(rows))),
                orientation="h",
                name=literal(name),
                marker={"color": look.colour, "line": {"width": 0}},
                customdata=texts,
                hovertemplate=f"%{{customdata}}<extra>{literal(name)}</extra>",
            )
        )
        known = [(row, value) for row, value in enumerate(lengths) if value is not None]
        places = [row + side * (1 - GAP) / 4 for row, _ in known]  # the middle of each bar
        # a label that the line would cross moves to its right
        ends = [dense if value < dense < value + LABEL * span else value for _, value in known]
        figure.add_trace(end_labels(ends, places, [texts[row] for row, _ in known]))
    pair.canvas(figure, LINE * len(rows) + REST)
    figure.add_vline(x=dense, line={"color": palette.GREY, "width": 1.5, "dash": "dash"}, layer="below")
    figure.update_layout(barmode="group", bargap=GAP)
    figure.update_xaxes(range=[0, span], showgrid=True, gridcolor=palette.GRID, nticks=6)
    name_rows(figure, rows)
    return figure


def _in_order(found: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(found)))
