"""How unevenly the rows of each linear are pruned: one box per block, one panel per group of linears.

Linears that feed the same consumer get the same row sparsities (q, k and v; gate and up), so they share a
panel. Boxes hold the middle half of the rows, whiskers the middle 80 %, and dots are the extremes. Only the
extremes reach as far as the search's lambda allows, so whiskers to them would look alike everywhere.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import allocation
from engine.analysis.linear_names import linear_names
from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_count,
    canvas,
    panels,
    share_block_axis,
    short_names,
)
from engine.events import QUANTILES, RowSpread
from engine.numbers import listed
from engine.record import RunRecord

PANEL, REST = 105, 65  # pixels
LEVELS = ["minimum", "10 %", "25 %", "median", "75 %", "90 %", "maximum"]
COLOURS = palette.BLUE, "rgba(0, 114, 178, 0.3)", palette.VERMILLION
"""Of the boxes' lines, their inside, and the dots."""
Spreads = dict[int, RowSpread]
"""One linear's spread by block, for the blocks in which its rows may differ."""


def has_uneven_rows(record: RunRecord) -> bool:
    """Return whether the rows of any linear may have different sparsities."""
    return any(spread.consumer is not None for block in record.rows for spread in block)


def row_spread(record: RunRecord) -> Chart:
    """Return the distribution of the row sparsities."""
    short = short_names(linear_names(record))
    groups = row_groups(record)
    titles = [group_title(names, spreads, short) for names, spreads in groups] or [
        "no linear has uneven rows"
    ]
    total, height = len(titles), PANEL * len(titles) + REST
    figure = panels([1] * total, titles, spacing=26 / height)  # 26 pixels between panels, for the titles
    canvas(figure, height)
    figure.update_layout(margin={"t": 24}, showlegend=False)
    for row, (_, spreads) in enumerate(groups, start=1):
        figure.add_traces(spread_boxes(spreads, *COLOURS), row=row, col=1)
    share_block_axis(figure, block_count(record), total)
    figure.update_yaxes(range=row_range(groups), nticks=5)
    figure.update_yaxes(title={"text": "Sparsity, %"})
    words = f"{widest_spread(groups, short)} {_uniform(record, short)}".rstrip()
    return Chart(
        title="Sparsity per row",
        figure=figure.build(),
        table=row_table(record),
        alt=f"Box plots of the row sparsities per block. {words}",
        caption="Sparsity of single rows. Box: middle half; whiskers: middle 80 %; dots: extremes; arrow: "
        f"the linear that consumes these rows. {words}",
        explain=partial(allocation.sparsity_per_row, record),
    )


def _by_linear(record: RunRecord) -> dict[str, Spreads]:
    by_linear: dict[str, Spreads] = {}
    for index, block in enumerate(record.rows):
        for spread in block:
            if spread.consumer is not None:
                by_linear.setdefault(spread.name, {})[index] = spread
    return by_linear


def row_groups(record: RunRecord) -> list[tuple[list[str], Spreads]]:
    """Return the groups of linears with the same consumers and distributions, and these distributions."""
    groups: dict[tuple[object, ...], tuple[list[str], Spreads]] = {}
    for name, spreads in _by_linear(record).items():
        # equal in every block: one panel for all
        same = tuple((block, spread.consumer, spread.quantiles) for block, spread in spreads.items())
        groups.setdefault(same, ([], spreads))[0].append(name)
    return list(groups.values())


def group_title(names: list[str], spreads: Spreads, short: dict[str, str]) -> str:
    """Return `q_proj, k_proj → o_proj`: the linears and their consumers."""
    consumers = dict.fromkeys(spread.consumer for spread in spreads.values() if spread.consumer)
    left, right = (", ".join(short.get(name, name) for name in side) for side in (names, consumers))
    return f"{left} → {right}"


def spread_boxes(
    spreads: Spreads, line: str, fill: str, dots: str, *, symbol: str = "circle", shift: float = 0.0
) -> tuple[go.Box, go.Scatter]:
    """Return a box per block, and dots at its extremes, which have the hover text.

    Args:
        line, fill, dots: colours.
        symbol: of the dots.
        shift: how far from the block's number, in blocks.
    """
    places = [block + shift for block in spreads]
    quantiles = [spread.quantiles for spread in spreads.values()]  # [blocks][levels]
    least, tenth, first, median, third, ninth, most = (
        [100 * value for value in level] for level in zip(*quantiles, strict=True)
    )
    numbers = [
        [block, *(f"{100 * value:.1f}" for value in levels)]
        for block, levels in zip(spreads, quantiles, strict=True)
    ]
    lines = [f"{level}: %{{customdata[{place}]}} %" for place, level in enumerate(LEVELS, start=1)]
    return (
        go.Box(
            x=places,
            # Given quantiles: the record does not hold the single rows.
            q1=first,
            median=median,
            q3=third,
            lowerfence=tenth,
            upperfence=ninth,
            line={"color": line, "width": 1.5},
            fillcolor=fill,
            hoverinfo="skip",  # boxes would show their own words
        ),
        go.Scatter(
            x=places * 2,  # the minima, then the maxima
            y=[*least, *most],
            mode="markers",
            marker={"symbol": symbol, "size": 4, "color": dots},
            customdata=numbers * 2,
            hovertemplate=f"block %{{customdata[0]}}<br>{'<br>'.join(lines)}<extra></extra>",
        ),
    )


def row_range(groups: list[tuple[list[str], Spreads]]) -> list[float]:
    """Return one axis for all panels, a little longer than the values."""
    values = [
        100 * level for _, spreads in groups for spread in spreads.values() for level in spread.quantiles
    ]
    return [max(-4.0, min(values) - 5), min(104.0, max(values) + 5)] if values else [0, 100]


def row_table(record: RunRecord) -> pd.DataFrame:
    rows = [
        (index, spread.name, spread.consumer, *spread.quantiles)
        for index, block in enumerate(record.rows)
        for spread in block
    ]
    return pd.DataFrame(
        rows, columns=["block", "linear", "read_by", *(f"rows_{quantile:.0%}" for quantile in QUANTILES)]
    )


def widest_spread(groups: list[tuple[list[str], Spreads]], short: dict[str, str]) -> str:
    """Return in which linear and block the rows differ most."""
    widths = [
        (spread.quantiles[-2] - spread.quantiles[1], index, short.get(names[0], names[0]))  # 90 % minus 10 %
        for names, spreads in groups
        for index, spread in spreads.items()
    ]
    if not widths:
        return "All rows of a linear have the same sparsity."
    width, index, name = max(widths)
    if width == 0:
        return "The search chose the same sparsity for all rows."
    return (
        f"Widest spread: {name} of block {index}, with {100 * width:.0f} percentage points between the 10 % "
        "and the 90 % quantile of its rows."
    )


def _uniform(record: RunRecord, short: dict[str, str]) -> str:
    """Return which linears have uniform rows because they have no single consumer."""
    if not record.rows:
        return ""
    uneven = _by_linear(record)
    names = dict.fromkeys(spread.name for block in record.rows for spread in block)
    everywhere = [short.get(name, name) for name in names if name not in uneven]
    blocks = [
        index
        for index, block in enumerate(record.rows)
        if block and all(spread.consumer is None for spread in block)
    ]
    parts = []
    if everywhere:
        parts.append(f"{listed(everywhere, most=8)} (no single linear of the block consumes their rows)")
    if blocks and uneven:
        parts.append(f"all of block{'s' if len(blocks) > 1 else ''} {listed(blocks)}")
    return f"Uniform rows: {' and '.join(parts)}." if parts else ""
