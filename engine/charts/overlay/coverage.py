"""All weights of both runs' models as two bars, one below the other."""

from __future__ import annotations

import plotly.graph_objects as go

from engine.charts.chart import Chart, literal
from engine.charts.coverage import COLOURS, HEIGHT, coverage_bar
from engine.charts.figure import FigureBuilder
from engine.charts.overlay.pair import Pair, both_tables
from engine.numbers import count, listed, percent, signed

SECOND_BAR = 45  # pixels


def coverage_of_both(pair: Pair) -> Chart:
    """Return which weights the sparsities refer to, and how many of them each run has removed."""
    singles = [coverage_bar(run) for run in pair.runs]
    parts = [single.table.set_index("kind") for single in singles]
    labels = [literal(name).replace(" on ", "<br>on ") for name in pair.names]  # a long name takes two lines
    figure = FigureBuilder(layout=singles[0].figure.layout.to_plotly_json())
    for place, kind in enumerate(dict.fromkeys([*parts[0].index, *parts[1].index])):
        weights = [part["weights"].get(kind, 0) for part in parts]
        shares = [100 * part["share"].get(kind, 0.0) for part in parts]
        figure.add_trace(
            go.Bar(
                x=shares,
                y=labels,
                name=kind,
                orientation="h",
                marker={"color": COLOURS[min(place, len(COLOURS) - 1)], "line": {"width": 0}},
                customdata=[f"{count(number)} weights" for number in weights],
                hovertemplate=f"{kind}: %{{customdata}}, %{{x:.1f}} %<extra></extra>",
            )
        )
    figure.update_layout(height=HEIGHT + SECOND_BAR)
    figure.update_yaxes(showticklabels=True, autorange="reversed")  # the page's run on top
    removed = [single.table["share"].iloc[0] for single in singles]
    both = listed([f"{percent(share)} ({name})" for share, name in zip(removed, pair.names, strict=True)])
    difference = signed(100 * (removed[0] - removed[1]))
    result = f"Removed, of all weights: {both}; difference {difference} percentage points."
    return Chart(
        title=singles[0].title,
        figure=figure.build(),
        table=both_tables(pair, singles[0].table, singles[1].table),
        alt=f"Two stacked bars of all weights of {pair.names[0]} and {pair.names[1]}. {result}",
        caption=f"{result} {singles[0].caption}",
    )
