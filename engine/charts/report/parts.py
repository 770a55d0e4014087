"""The parts of a page as its templates take them: tables of text, and charts with what is needed to draw
them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import pandas as pd
import plotly.io

from engine.charts.chart import Chart

TALL = 450
"""Height in pixels from which a chart needs the whole width: names at the ends of its curves, or a map."""
MOST_ROWS = 1_000
"""Rows of a chart's table that a page contains: a map of a weight has a row for each of its cells."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: each name, and whether the column holds numbers.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """A chart with what the page needs to draw it.

    Attributes:
        name: unique on the page.
        data: the figure as JSON values.
        height: CSS pixels.
        table: None if it has more than `MOST_ROWS`.
    """

    name: str
    chart: Chart
    data: dict[str, Any]
    height: int
    table: Table | None

    @property
    def whole(self) -> bool:
        """Whether the chart needs the width of the page."""
        return bool(self.chart.least_width) or self.height >= TALL


def figure(name: str, chart: Chart) -> Figure:
    """Return a chart as a part of a page, under a name that no other chart of the page has."""
    # Plotly's encoder knows numpy and NaN; json does not
    data: dict[str, Any] = json.loads(plotly.io.to_json(chart.figure))
    # Plotly adds the process's default template, which others may have changed; the page brings its own.
    data["layout"].pop("template", None)
    rows = table(chart.table, chart.title) if len(chart.table) <= MOST_ROWS else None
    return Figure(name, chart, data, chart.figure.layout.height, rows)


def table(frame: pd.DataFrame, caption: str) -> Table:
    """Return a table as text; numbers stand at the right of their columns."""
    columns = [
        (str(name), pd.api.types.is_numeric_dtype(kind))
        for name, kind in zip(frame.columns, frame.dtypes, strict=True)
    ]
    return Table(caption, columns, [list(map(_cell, row)) for row in frame.itertuples(index=False)])


def _cell(value: Any) -> str:
    """Return a value as text, floats with six significant digits; an unknown one is empty."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if isfinite(value) else "not finite"
    return str(value)
