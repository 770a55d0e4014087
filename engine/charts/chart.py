"""What every chart is: a figure, the same numbers as a table, and words for those who see neither.

A figure is drawn for all blocks from the start, so it grows without jumping while a run goes on; `uirevision` keeps a zoom that a person
made when the next block arrives. Text takes the page's own colour: backgrounds are transparent and no font colour is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.events import BlockPruned
from engine.record import RunRecord

HEIGHT = 260


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
    return record.model.blocks if record.model else max((block.index + 1 for block in record.blocks), default=0)


def progress_words(record: RunRecord) -> str:
    """`8 blocks`, or `3 of 8 blocks so far`."""
    done, total = len(record.blocks), block_count(record)
    return f"{total} blocks" if done == total else f"{done} of {total} blocks so far"


def canvas(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """The look that all figures share."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=palette.TRANSPARENT,
        plot_bgcolor=palette.TRANSPARENT,
        uirevision="kept",
        hoverlabel={"namelength": -1},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(zeroline=False, showgrid=False, automargin=True)
    figure.update_yaxes(zeroline=False, gridcolor=palette.GRID, automargin=True)
    return figure


def block_axis(total: int) -> dict[str, Any]:
    """The x axis that every chart over the blocks has: all of them, first to last."""
    step = next(step for step in (1, 2, 4, 5, 10, 20, 50, 100) if total / step <= 16 or step == 100)
    return {"title": {"text": "Block"}, "range": [-0.5, max(total, 1) - 0.5], "tickmode": "linear", "tick0": 0, "dtick": step}
