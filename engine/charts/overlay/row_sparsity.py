"""How unevenly two runs prune the rows of each linear: two boxes per block, a panel per group of linears."""

from __future__ import annotations

import plotly.graph_objects as go

from engine.analysis.linear_names import linear_names
from engine.charts.chart import Chart, literal, panels, share_block_axis, short_names
from engine.charts.overlay.pair import LOOKS, WIDTH, Look, Pair, both_tables
from engine.charts.row_sparsity import (
    PANEL,
    REST,
    Spreads,
    group_title,
    row_groups,
    row_range,
    row_table,
    spread_boxes,
    widest_spread,
)


def rows_of_both(pair: Pair) -> Chart:
    """Return the distributions of the row sparsities; a group of linears that only one run has gets a panel
    too.
    """
    short = short_names(list(dict.fromkeys([*linear_names(pair.first), *linear_names(pair.second)])))
    groups = [row_groups(run) for run in pair.runs]
    titled = [{group_title(*group, short): group[1] for group in found} for found in groups]
    titles = list(dict.fromkeys([*titled[0], *titled[1]])) or ["no linear has uneven rows"]
    height = PANEL * len(titles) + REST
    figure = panels([1] * len(titles), titles, spacing=26 / height)  # 26 pixels for each panel's title
    pair.canvas(figure, height + 24, more_lines=1)  # the first panel's title stands in the last line
    figure.update_layout(boxmode="overlay")
    for run, (name, look) in enumerate(zip(pair.names, LOOKS, strict=True)):
        for place, (title, spreads) in enumerate(titled[run].items()):
            traces = _boxes(spreads, name, look, legend=place == 0)
            figure.add_traces(traces, row=titles.index(title) + 1, col=1)
    share_block_axis(figure, pair.blocks, len(titles))
    figure.update_yaxes(range=row_range([*groups[0], *groups[1]]), nticks=5, title={"text": "Sparsity, %"})
    said = " ".join(
        f"{name}: {widest_spread(found, short)}" for name, found in zip(pair.names, groups, strict=True)
    )
    return Chart(
        title="Sparsity per row",
        figure=figure.build(),
        table=both_tables(pair, *map(row_table, pair.runs)),
        alt=f"Box plots of the row sparsities per block in {pair.names[0]} and {pair.names[1]}. {said}",
        caption=f"{said} {pair.depths} Box: middle half; whiskers: middle 80 %; dots: extremes; arrow: the "
        "linear that consumes these rows.",
    )


def _boxes(spreads: Spreads, name: str, look: Look, *, legend: bool) -> tuple[go.Box, go.Scatter]:
    boxes, dots = spread_boxes(
        spreads, look.colour, look.fill, look.colour, symbol=look.symbol, shift=look.shift
    )
    boxes.update(width=WIDTH, name=literal(name), legendgroup=name, showlegend=legend)
    hover = dots.hovertemplate.replace("<extra></extra>", f"<extra>{literal(name)}</extra>")
    dots.update(legendgroup=name, showlegend=False, hovertemplate=hover)
    return boxes, dots
