"""What every chart is: a figure, the same numbers as a table, and words for those who see neither.

A figure is drawn for all blocks from the start, so it grows without jumping while a run goes on; `uirevision`
keeps a zoom that a person made when the next block arrives. Text takes the page's own colour: backgrounds are
transparent and no font colour is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.charts import palette
from engine.events import BlockPruned
from engine.record import RunRecord

HEIGHT = 260
LEGEND_LINE = 24  # pixels


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        title: what it shows.
        figure: the drawing, without a title of its own.
        table: its numbers, one row a mark.
        alt: what it shows in a sentence or two, with the numbers that matter.
        caption: how to read it.
    """

    title: str
    figure: go.Figure
    table: pd.DataFrame
    alt: str
    caption: str


def done_blocks(record: RunRecord) -> list[BlockPruned]:
    """The blocks that are done, in the order of the model."""
    return sorted(record.blocks, key=lambda block: block.index)


def block_count(record: RunRecord) -> int:
    """How many blocks the axes must hold."""
    return (
        record.model.blocks if record.model else max((block.index + 1 for block in record.blocks), default=0)
    )


def progress_words(record: RunRecord) -> str:
    """`8 blocks`, or `3 of 8 blocks so far`."""
    done, total = len(record.blocks), block_count(record)
    return f"{total} blocks" if done == total else f"{done} of {total} blocks so far"


def canvas(figure: go.Figure, height: int = HEIGHT, legend_lines: int = 0) -> go.Figure:
    """The look that all figures share; a legend over several panels is given room for so many lines above
    them.
    """
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=palette.TRANSPARENT,
        plot_bgcolor=palette.TRANSPARENT,
        uirevision="kept",
        hoverlabel={"namelength": -1},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    if legend_lines:
        figure.update_layout(
            margin={"t": 8 + LEGEND_LINE * legend_lines},
            legend={"yref": "container", "y": 1, "yanchor": "top"},
        )
    figure.update_xaxes(zeroline=False, showgrid=False, automargin=True)
    figure.update_yaxes(zeroline=False, gridcolor=palette.GRID, automargin=True)
    return figure


def panels(heights: Sequence[float], titles: Sequence[str] = (), spacing: float = 0.1) -> go.Figure:
    """Panels over one axis of blocks, stacked, each under a small title at its left if it has one."""
    figure = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=list(heights),
        vertical_spacing=spacing,
        subplot_titles=titles,
    )
    figure.update_annotations(x=0, xanchor="left", font={"size": 12}, yshift=1)
    return figure


def share_block_axis(figure: go.Figure, total: int, rows: int) -> None:
    """The same axis of blocks beneath each panel, named beneath the last."""
    axis = block_axis(total)
    title = axis.pop("title")
    figure.update_xaxes(**axis)
    figure.update_xaxes(title=title, row=rows, col=1)


def block_axis(total: int) -> dict[str, Any]:
    """The x axis that every chart over the blocks has: all of them, first to last."""
    step = next(step for step in (1, 2, 4, 5, 10, 20, 50, 100) if total / step <= 16 or step == 100)
    return {
        "title": {"text": "Block"},
        "range": [-0.5, max(total, 1) - 0.5],
        "tickmode": "linear",
        "tick0": 0,
        "dtick": step,
    }
