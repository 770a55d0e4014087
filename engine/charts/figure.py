"""A figure in the making. It is drawn with the calls of a Plotly figure, but keeps the layout as plain values
that Plotly checks once, at the end.

A Plotly figure checks and announces each change of its layout: the dozen charts of a run took it 320 ms of
processor time, of which this leaves 71. During a run, they are drawn with each block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType
from plotly.subplots import make_subplots

Grid = Mapping[tuple[int, int], tuple[str, str]]
"""The x and the y axis of each panel, such as `("x2", "y2")`, by its row and column, which count from 1."""
SINGLE: Grid = {(1, 1): ("x", "y")}


class FigureBuilder:
    """Traces, and a layout of plain values.

    `row` and `col` choose panels as in Plotly. Without them, axes are updated in all panels, and a line or a
    band crosses all of them.
    """

    def __init__(
        self,
        traces: BaseTraceType | Iterable[BaseTraceType] = (),
        layout: Mapping[str, Any] | None = None,
        grid: Grid = SINGLE,
    ) -> None:
        self.traces = [traces] if isinstance(traces, BaseTraceType) else list(traces)
        self.layout = deepcopy(dict(layout or {}))
        self.grid = grid

    def build(self) -> go.Figure:
        """Return the Plotly figure.

        Raises:
            ValueError: Plotly does not know a property, or it has a wrong value.
        """
        return go.Figure(self.traces, self.layout)

    def add_trace(self, trace: BaseTraceType, row: int | None = None, col: int | None = None) -> None:
        """Add a trace on top of the others, in a panel if there are several."""
        if row is not None and col is not None:
            trace.xaxis, trace.yaxis = self.grid[row, col]
        self.traces.append(trace)

    def add_traces(
        self, traces: Iterable[BaseTraceType], row: int | None = None, col: int | None = None
    ) -> None:
        """Add traces on top of the others, all in one panel."""
        for trace in traces:
            self.add_trace(trace, row, col)

    def update_layout(self, **values: Any) -> None:
        """Set properties of the layout; a part that is a dictionary keeps what it already has."""
        _merge(self.layout, values)

    def update_xaxes(self, row: int | None = None, col: int | None = None, **values: Any) -> None:
        """Set properties of x axes."""
        for x, _ in self._panels(row, col):
            _merge(self.layout.setdefault(f"xaxis{x[1:]}", {}), values)

    def update_yaxes(self, row: int | None = None, col: int | None = None, **values: Any) -> None:
        """Set properties of y axes."""
        for _, y in self._panels(row, col):
            _merge(self.layout.setdefault(f"yaxis{y[1:]}", {}), values)

    def add_shape(self, row: int | None = None, col: int | None = None, **values: Any) -> None:
        """Draw a shape between places on the axes."""
        place = {} if row is None else dict(zip(("xref", "yref"), self._panels(row, col)[0], strict=True))
        self._append("shapes", place | values)

    def add_annotation(self, **values: Any) -> None:
        """Write a text at a place on the axes of the only panel."""
        self._append("annotations", values)

    def add_vline(
        self,
        x: float,
        row: int | None = None,
        col: int | None = None,
        *,
        annotation: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        """Draw a vertical line over a panel's whole height, with a text at the right of its upper end."""
        for xref, yref in self._panels(row, col):
            refs = {"xref": xref, "yref": f"{yref} domain"}
            self._append("shapes", {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, **refs, **values})
            if annotation is not None:
                place = {"x": x, "y": 1, "xanchor": "left", "yanchor": "top", "showarrow": False}
                self._append("annotations", {**place, **annotation, **refs})

    def add_hline(self, y: float, **values: Any) -> None:
        """Draw a horizontal line over each panel's whole width."""
        for xref, yref in self.grid.values():
            refs = {"xref": f"{xref} domain", "yref": yref}
            self._append("shapes", {"type": "line", "x0": 0, "x1": 1, "y0": y, "y1": y, **refs, **values})

    def add_vrect(
        self, x0: float, x1: float, row: int | None = None, col: int | None = None, **values: Any
    ) -> None:
        """Draw a band over a panel's whole height."""
        for xref, yref in self._panels(row, col):
            refs = {"xref": xref, "yref": f"{yref} domain"}
            self._append("shapes", {"type": "rect", "x0": x0, "x1": x1, "y0": 0, "y1": 1, **refs, **values})

    def _panels(self, row: int | None, col: int | None) -> list[tuple[str, str]]:
        return [
            axes
            for (r, c), axes in self.grid.items()
            if (row is None or r == row) and (col is None or c == col)
        ]

    def _append(self, part: str, values: dict[str, Any]) -> None:
        self.layout.setdefault(part, []).append(values)


def subplots(titles: Sequence[str] = (), **arrangement: Any) -> FigureBuilder:
    """Return panels without traces.

    Args:
        titles: of the panels, row by row; none by default.
        arrangement: arguments of Plotly's `make_subplots`; sequences as tuples.
    """
    layout, grid = _arranged(tuple(titles), tuple(sorted(arrangement.items())))
    return FigureBuilder(layout=layout, grid=grid)


@lru_cache(maxsize=64)  # Plotly takes 13 ms for two panels
def _arranged(
    titles: tuple[str, ...], arrangement: tuple[tuple[str, Any], ...]
) -> tuple[dict[str, Any], Grid]:
    chosen = dict(arrangement)
    figure = make_subplots(**chosen, subplot_titles=titles or None)
    grid = {}
    for row in range(1, chosen.get("rows", 1) + 1):
        for col in range(1, chosen.get("cols", 1) + 1):
            panel = figure.get_subplot(row, col)
            names = panel.xaxis.plotly_name, panel.yaxis.plotly_name
            grid[row, col] = tuple(name.replace("axis", "") for name in names)
    layout = figure.layout.to_plotly_json()
    layout.pop("template")  # the default, which each figure gets when it is built
    return layout, grid


def _merge(part: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _merge(part.setdefault(name, {}), value)
        else:
            part[name] = value
