"""What all charts have in common: the `Chart` itself, its look, its axes, and the names of linears.

A chart is a figure, the same numbers as a table, and words for readers who see neither. A figure is drawn for
all blocks from the start, so it grows without jumping while a run continues; `uirevision` keeps the user's
zoom when the next block arrives. Text takes the page's colour: backgrounds are transparent and no font
colour is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations.explanation import Explanation
from engine.analysis.linear_names import short_labels
from engine.charts import palette
from engine.charts.figure import FigureBuilder, subplots
from engine.events import BlockPruned
from engine.numbers import power_of_ten
from engine.record import RunRecord

HEIGHT = 260  # pixels
LEGEND_LINE = 24  # pixels
COARSE, FINE = (1, 2, 5, 10), (1, 1.5, 2, 3, 4, 6, 8, 10)
"""Steps at which an axis may end, times a power of ten."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        title: what it shows.
        figure: the Plotly figure, without a title inside.
        table: its numbers, one row per mark.
        alt: what it shows in a sentence or two, with the numbers that matter.
        caption: how to read it.
        least_width: pixels below which the numbers in its cells are too small to read, so that a page hides
            them; 0 if it has none.
        explain: returns what its shape means; computed when a reader asks. None for the charts of the
            lessons, which are explained by the text around them.
    """

    title: str
    figure: go.Figure
    table: pd.DataFrame
    alt: str
    caption: str
    least_width: int = 0
    explain: Callable[[], Explanation] | None = None


def literal(text: str) -> str:
    """Return a text from elsewhere (a name of a run, a linear or a token) such that Plotly draws it as it is.

    Plotly reads texts as HTML, in which a link would look like one of ours, and `%{` in a hover template as a
    placeholder.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "&#37;{")


def done_blocks(record: RunRecord) -> list[BlockPruned]:
    """Return the finished blocks in the model's order."""
    return sorted(record.blocks, key=lambda block: block.index)


def block_count(record: RunRecord) -> int:
    """Return how many blocks the axes must hold."""
    return (
        record.model.blocks if record.model else max((block.index + 1 for block in record.blocks), default=0)
    )


def progress_words(record: RunRecord) -> str:
    """Return `8 blocks`, or `3 of 8 blocks so far`."""
    done, total = len(record.blocks), block_count(record)
    return f"{total} blocks" if done == total else f"{done} of {total} blocks so far"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return `short_labels` of linears as Plotly draws them."""
    return {name: literal(label) for name, label in short_labels(names).items()}


def canvas(figure: FigureBuilder, height: int = HEIGHT, legend_lines: int = 0) -> FigureBuilder:
    """Give a figure the look that all share, with space above the panels for this many lines of legend."""
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    if legend_lines:
        # Relative to the container, the legend stays in the top margin at every height and panel layout.
        legend |= {"yref": "container", "y": 1, "yanchor": "top"}
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8 + LEGEND_LINE * legend_lines, "b": 8},
        paper_bgcolor=palette.TRANSPARENT,
        plot_bgcolor=palette.TRANSPARENT,
        uirevision="kept",  # any constant: Plotly resets zoom and legend when it changes
        hoverlabel={"namelength": -1},  # Plotly cuts names to 15 characters otherwise
        legend=legend,
    )
    figure.update_xaxes(zeroline=False, showgrid=False, automargin=True)
    figure.update_yaxes(zeroline=False, gridcolor=palette.GRID, automargin=True)
    return figure


def panels(heights: Sequence[float], titles: Sequence[str] = (), spacing: float = 0.1) -> FigureBuilder:
    """Return stacked panels that share the block axis, each with a small title at its left if it has one."""
    figure = subplots(
        titles,
        rows=len(heights),
        shared_xaxes=True,
        row_heights=tuple(heights),
        vertical_spacing=spacing,
    )
    align_titles(figure)
    return figure


def align_titles(figure: FigureBuilder) -> None:
    """Put the titles of the panels at their left, above the marks."""
    # Titles are annotations, the only ones so far: call this before any other is added.
    for annotation in figure.layout.get("annotations", ()):
        annotation.update(x=0, xanchor="left", font={"size": 12}, yshift=1)


def share_block_axis(figure: FigureBuilder, total: int, rows: int) -> None:
    """Put the same block axis beneath each of the `rows` panels, with its title beneath the last."""
    axis = block_axis(total)
    title = axis.pop("title")  # update_xaxes without row and col would put it beneath every panel
    figure.update_xaxes(**axis)
    figure.update_xaxes(title=title, row=rows, col=1)


def block_axis(total: int) -> dict[str, Any]:
    """Return the x axis that every chart over the blocks has: all of them, first to last."""
    # at most 12 tick labels, which a chart of 320 pixels has room for without turning them
    step = next(step for step in (1, 2, 4, 5, 10, 20, 50, 100) if total / step <= 12 or step == 100)
    return {
        "title": {"text": "Block"},
        "range": [-0.5, max(total, 1) - 0.5],
        "tickmode": "linear",
        "tick0": 0,
        "dtick": step,
    }


def name_rows(figure: FigureBuilder, names: Sequence[str], row: int | None = None) -> None:
    """Label the rows 0, 1, ... of a horizontal chart, or of one of its panels, with the first at the top."""
    panel = {} if row is None else {"row": row, "col": 1}
    figure.update_yaxes(
        range=[max(len(names), 1) - 0.5, -0.5],  # descending, so row 0 is at the top
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=list(names),
        showgrid=False,
        **panel,
    )


def cell_handles(
    blocks: Sequence[int], names: Sequence[str], values: Sequence[object], hover: str
) -> go.Scatter:
    """Return an invisible point in the middle of each cell of a heat map, which can be selected by a click.

    A heat map's own cells cannot be selected in Plotly. `values` is each point's `customdata`.
    """
    hidden = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=list(blocks),
        y=list(names),
        customdata=list(values),
        mode="markers",
        marker={"symbol": "square", "size": 22, "opacity": 0},
        selected=hidden,
        unselected=hidden,
        hovertemplate=f"{hover}<extra></extra>",
        showlegend=False,
    )


def ceiling(value: float, steps: Sequence[float] = COARSE) -> float:
    """Return the end of an axis that seldom moves as a chart grows: the lowest step times a power of ten that
    is not below `value`.
    """
    if not 0 < value < float("inf"):
        return 1.0
    power = float(10 ** floor(log10(value)))
    # Tolerates rounding: 3 × 0.1 is a little more than 0.3 and must not jump a step.
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))


def largest(values: Iterable[float | None]) -> float:
    """Return the largest of the finite values, 0 if there are none."""
    return max((value for value in values if value is not None and isfinite(value)), default=0.0)


def unit_of(top: float) -> tuple[float, str]:
    """Return the power of ten in which amounts up to `top` are drawn, and the axis label: `in 10⁻³`."""
    # log10 of a power of ten may be just below the integer
    exponent = floor(log10(top) + 1e-9) if 0 < top < float("inf") else 0
    return 10.0**exponent, "no unit" if exponent == 0 else f"in {power_of_ten(exponent)}"
