"""How unevenly the rows of each linear are pruned: a box a block, a panel for all linears that share one
distribution.

Linears that feed the same consumer are given the same row sparsities (q, k and v; gate and up), so a panel is
for a group of those; without that, seven linears would say three things. Boxes hold the middle half of the
rows, whiskers the middle 80 %, dots are the extremes: these alone reach as far as the search's lambda says,
so whiskers to them would look alike everywhere.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import (
    Chart,
    block_count,
    canvas,
    linear_names,
    panels,
    share_block_axis,
    short_names,
)
from engine.events import QUANTILES, RowSpread
from engine.numbers import listed
from engine.record import RunRecord

PANEL, REST = 105, 65  # pixels
LEVELS = ["least", "10 %", "25 %", "median", "75 %", "90 %", "most"]
Spreads = dict[int, RowSpread]
"""One linear's spread by block, where its rows may differ."""


def has_uneven_rows(record: RunRecord) -> bool:
    """Whether the rows of any linear were given sparsities of their own."""
    return any(spread.consumer is not None for block in record.rows for spread in block)


def row_spread(record: RunRecord) -> Chart:
    """The distribution of the row sparsities."""
    short = short_names(linear_names(record))
    groups = _groups(record)
    titles = [_title(names, spreads, short) for names, spreads in groups] or ["no linear has rows of its own"]
    total, height = len(titles), PANEL * len(titles) + REST
    figure = panels([1] * total, titles, spacing=26 / height)
    canvas(figure, height)
    figure.update_layout(margin={"t": 24}, showlegend=False)
    for row, (_, spreads) in enumerate(groups, start=1):
        figure.add_traces(_boxes(spreads), rows=row, cols=1)
    share_block_axis(figure, block_count(record), total)
    figure.update_yaxes(range=_span(groups), nticks=5)
    figure.update_yaxes(title={"text": "Rows, %"})
    return Chart(
        title="How the rows share the sparsity",
        figure=figure,
        table=_table(record),
        alt=f"Box plots of the sparsity of the rows by block. {_widest(groups, short)} {_uniform(record, short)}".rstrip(),
        caption="Sparsity of single rows. Box: middle half; whiskers: middle 80 %; dots: extremes; arrow: the linear that reads them. "
        f"{_widest(groups, short)} {_uniform(record, short)}".rstrip(),
    )


def _by_linear(record: RunRecord) -> dict[str, Spreads]:
    found: dict[str, Spreads] = {}
    for index, block in enumerate(record.rows):
        for spread in block:
            if spread.consumer is not None:
                found.setdefault(spread.name, {})[index] = spread
    return found


def _groups(record: RunRecord) -> list[tuple[list[str], Spreads]]:
    """The linears that share their consumers and distributions, with these."""
    groups: dict[tuple[object, ...], tuple[list[str], Spreads]] = {}
    for name, spreads in _by_linear(record).items():
        same = tuple((block, spread.consumer, spread.quantiles) for block, spread in spreads.items())
        groups.setdefault(same, ([], spreads))[0].append(name)
    return list(groups.values())


def _title(names: list[str], spreads: Spreads, short: dict[str, str]) -> str:
    readers = dict.fromkeys(spread.consumer for spread in spreads.values() if spread.consumer)
    return f"{', '.join(short.get(name, name) for name in names)} → {', '.join(short.get(name, name) for name in readers)}"


def _boxes(spreads: Spreads) -> list[go.Box | go.Scatter]:
    blocks = list(spreads)
    least, tenth, first, median, third, ninth, most = (
        [100 * value for value in level] for level in zip(*_levels(spreads), strict=True)
    )
    numbers = [[f"{100 * value:.1f}" for value in spread.quantiles] for spread in spreads.values()]
    words = (
        "block %{x}<br>"
        + "<br>".join(f"{level}: %{{customdata[{place}]}} %" for place, level in enumerate(LEVELS))
        + "<extra></extra>"
    )
    dots = {"symbol": "circle", "size": 4, "color": palette.VERMILLION}
    return [
        go.Box(
            x=blocks,
            q1=first,
            median=median,
            q3=third,
            lowerfence=tenth,
            upperfence=ninth,
            line={"color": palette.BLUE, "width": 1.5},
            fillcolor="rgba(0, 114, 178, 0.3)",
            hoverinfo="skip",
        ),
        go.Scatter(
            x=blocks * 2,
            y=[*least, *most],
            mode="markers",
            marker=dots,
            customdata=numbers * 2,
            hovertemplate=words,
        ),
    ]


def _levels(spreads: Spreads) -> list[tuple[float, ...]]:
    return [spread.quantiles for spread in spreads.values()]


def _span(groups: list[tuple[list[str], Spreads]]) -> list[float]:
    """One axis for all panels, around what there is."""
    values = [100 * level for _, spreads in groups for quantiles in _levels(spreads) for level in quantiles]
    return [max(-4.0, min(values) - 5), min(104.0, max(values) + 5)] if values else [0, 100]


def _table(record: RunRecord) -> pd.DataFrame:
    rows = [
        (index, spread.name, spread.consumer, *spread.quantiles)
        for index, block in enumerate(record.rows)
        for spread in block
    ]
    return pd.DataFrame(
        rows, columns=["block", "linear", "read_by", *(f"rows_{quantile:.0%}" for quantile in QUANTILES)]
    )


def _widest(groups: list[tuple[list[str], Spreads]], short: dict[str, str]) -> str:
    """Where the rows differ most."""
    found = [
        (spread.quantiles[-2] - spread.quantiles[1], index, short.get(names[0], names[0]))
        for names, spreads in groups
        for index, spread in spreads.items()
    ]
    if not found:
        return "All rows of a linear are alike."
    width, index, name = max(found)
    if width == 0:
        return "The search chose to leave all rows alike."
    return f"Widest: {name} of block {index}, with {100 * width:.0f} percentage points between 10 % and 90 % of its rows."


def _uniform(record: RunRecord, short: dict[str, str]) -> str:
    """The linears whose rows stay alike for want of a consumer."""
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
    parts = (
        [f"{listed(everywhere, most=8)} (no one linear of the block reads their rows one by one)"]
        if everywhere
        else []
    )
    if blocks and uneven:
        parts.append(f"all of block{'s' if len(blocks) > 1 else ''} {listed(blocks)}")
    return f"Uniform rows: {' and '.join(parts)}." if parts else ""
