"""How unevenly two runs prune the rows of each linear: two boxes per block, a panel per group of linears."""

from __future__ import annotations

import plotly.graph_objects as go

from engine.analysis.linear_names import linear_names
from engine.charts.chart import Chart, literal, panels, share_block_axis, short_names
from engine.charts.overlay.pair import LOOKS, WIDTH, Look, Pair, both_tables
from engine.charts.row_sparsity import (
    LEVELS,
    PANEL,
    REST,
    Spreads,
    group_title,
    row_groups,
    row_range,
    row_table,
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
            figure.add_traces(traces, rows=titles.index(title) + 1, cols=1)
    share_block_axis(figure, pair.blocks, len(titles))
    figure.update_yaxes(range=row_range([*groups[0], *groups[1]]), nticks=5, title={"text": "Sparsity, %"})
    said = " ".join(
        f"{name}: {widest_spread(found, short)}" for name, found in zip(pair.names, groups, strict=True)
    )
    return Chart(
        title="Sparsity per row",
        figure=figure,
        table=both_tables(pair, *map(row_table, pair.runs)),
        alt=f"Box plots of the row sparsities per block in {pair.names[0]} and {pair.names[1]}. {said}",
        caption=f"{said} {pair.depths} Box: middle half; whiskers: middle 80 %; dots: extremes; arrow: the "
        "linear that consumes these rows.",
    )


def _boxes(spreads: Spreads, name: str, look: Look, *, legend: bool) -> list[go.Box | go.Scatter]:
    places = [block + look.shift for block in spreads]
    quantiles = [spread.quantiles for spread in spreads.values()]  # [blocks][levels]
    least, tenth, first, median, third, ninth, most = (
        [100 * value for value in level] for level in zip(*quantiles, strict=True)
    )
    numbers = [
        [block, *(f"{100 * value:.1f}" for value in levels)]
        for block, levels in zip(spreads, quantiles, strict=True)
    ]
    lines = [f"{level}: %{{customdata[{place}]}} %" for place, level in enumerate(LEVELS, start=1)]
    return [
        go.Box(
            x=places,
            q1=first,
            median=median,
            q3=third,
            lowerfence=tenth,
            upperfence=ninth,
            width=WIDTH,
            line={"color": look.colour, "width": 1.5},
            fillcolor=look.fill,
            name=literal(name),
            legendgroup=name,
            showlegend=legend,
            hoverinfo="skip",  # the dots have the hover text
        ),
        go.Scatter(
            x=places * 2,  # the minima, then the maxima
            y=[*least, *most],
            mode="markers",
            marker={"symbol": look.symbol, "size": 4, "color": look.colour},
            legendgroup=name,
            showlegend=False,
            customdata=numbers * 2,
            hovertemplate=f"block %{{customdata[0]}}<br>{'<br>'.join(lines)}<extra>{literal(name)}</extra>",
        ),
    ]
