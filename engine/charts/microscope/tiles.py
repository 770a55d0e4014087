"""Weights as tiles over rows and columns: a square of the cell whose area is the share that stays, a small
one of another colour where nothing does.

A cell is drawn as a few picture elements a side, all in one heat map without gaps, which a browser draws as
one picture: 16,000 cells take it a tenth of a second, where heat maps with gaps took seconds. What was
removed is seen by size as well as by colour; close up it is crossed out.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from engine.analysis.microscope.types import Counts, Numbers, Values
from engine.charts import palette

SIDES = (11, 7, 5, 3)
"""Picture elements a side of a cell, the most that `ELEMENTS` allow."""
ELEMENTS = 260_000
"""Picture elements of a map at most."""
LEVELS = 100
"""Steps of a colour scale."""
CROSSED, NUMBERED = 3_000, 320
"""Up to so many cells the removed ones are crossed out, and have their numbers written into them."""
SCALE = [
    [0, palette.GOES[1][1]],
    [(LEVELS - 1) / (2 * LEVELS), palette.GOES[0][1]],
    [(LEVELS - 0.5) / (2 * LEVELS), palette.TRANSPARENT],
    [(LEVELS + 0.5) / (2 * LEVELS), palette.TRANSPARENT],
    [(LEVELS + 1) / (2 * LEVELS), palette.STAYS[0][1]],
    [1, palette.STAYS[1][1]],
]
"""From the strongest that goes (-100) over nothing (0) to the strongest that stays (100)."""


def tiles(strength: Numbers, kept: Numbers, x: Values, y: Values, top: float) -> go.Heatmap:
    """All cells as one heat map.

    Args:
        strength: absolute weights `[rows, columns]`, which the colour is for.
        kept: share that stays `[rows, columns]`.
        x, y: centres of the columns and rows, evenly spaced.
        top: strength with the deepest colour.
    """
    side = next((side for side in SIDES if strength.size * side**2 <= ELEMENTS), SIDES[-1])
    level = (1 + (LEVELS - 1) * np.clip(strength / top, 0, 1)).round().astype(np.int8)
    signed = np.where(kept > 0, level, -level).astype(np.int8)
    elements = signed.repeat(side, 0).repeat(side, 1) * _stamps(kept, side)
    across, down = spacing(x) / side, spacing(y) / side
    return go.Heatmap(
        x0=x[0] - spacing(x) / 2 + across / 2,
        dx=across,
        y0=y[0] - spacing(y) / 2 + down / 2,
        dy=down,
        z=elements,
        zmin=-LEVELS,
        zmax=LEVELS,
        colorscale=SCALE,
        showscale=False,
        hoverinfo="skip",
    )


def close_up(
    weight: Numbers, kept: Numbers, x: Values, y: Values, top: float
) -> list[go.Heatmap | go.Scatter]:
    """Tiles of single entries, few enough to cross out the removed ones and, if there are fewer still, to
    read them all.
    """
    if weight.size > NUMBERED:
        return [tiles(np.abs(weight), kept, x, y, top), _marks(kept <= 0, x, y, "markers")]
    words = np.vectorize(lambda value: f"{value:z.2f}".replace("-", "−"))(weight)  # z: no minus before a zero
    level = np.where(kept > 0, np.clip(np.abs(weight) / top, 0, 1), np.nan).astype(np.float32)
    stays = go.Heatmap(
        x=x,
        y=y,
        z=level,
        zmin=0,
        zmax=1,
        colorscale=palette.AMOUNT,
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
    gone = np.where(kept > 0, np.nan, 0).astype(np.float32)
    empty = [[0, palette.UNDONE], [1, palette.UNDONE]]
    goes = go.Heatmap(x=x, y=y, z=gone, colorscale=empty, showscale=False, hoverinfo="skip", xgap=2, ygap=2)
    read, crossed = (
        _marks(kept > 0, x, y, "text", words),
        _marks(kept <= 0, x, y, "text", np.char.add("× ", words)),
    )
    read.textfont, crossed.textfont = {"color": palette.INK}, {"color": palette.VERMILLION}
    return [stays, goes, read, crossed]


def boxes(figure: go.Figure, x: Values, y: Values, m: int, row: int | None = None) -> None:
    """A frame around each m columns of each row; `x` begins with a group."""
    place = {} if row is None else {"row": row, "col": 1}
    line = {"color": palette.GREY, "width": 1.5}
    left, right, top, bottom = x[0] - 0.5, x[-1] + 0.5, y[0] - 0.5, y[-1] + 0.5
    for at in [*np.arange(left, right, m), right]:
        figure.add_shape(type="line", x0=at, x1=at, y0=top, y1=bottom, line=line, **place)
    for at in [*np.arange(top, bottom, 1), bottom]:
        figure.add_shape(type="line", x0=left, x1=right, y0=at, y1=at, line=line, **place)


def spacing(centres: Numbers) -> float:
    """Distance from one centre to the next; 1 where there is but one."""
    return float(centres[1] - centres[0]) if len(centres) > 1 else 1.0


def _stamps(kept: Numbers, side: int) -> Counts:
    """1 where a cell's picture elements are drawn, `[rows * side, columns * side]`: a square of the share's
    area, a third of the side for nothing.
    """
    widths = np.where(kept > 0, np.maximum(1, np.round(side * np.sqrt(kept))), max(1, side // 3)).astype(int)
    if side > SIDES[-1]:
        widths = np.minimum(widths, side - 1)  # a hairline between full tiles, where there is room for one
    first = (side - widths) // 2
    place = np.arange(side)
    inside = (place >= first[..., None]) & (place < (first + widths)[..., None])  # [rows, columns, side]
    stamps = inside[:, :, :, None] & inside[:, :, None, :]  # [rows, columns, side, side]
    rows, columns = kept.shape
    return stamps.transpose(0, 2, 1, 3).reshape(rows * side, columns * side).astype(np.int8)


def _marks(chosen: Values, x: Values, y: Values, mode: str, words: Values | None = None) -> go.Scatter:
    """A cross, or words, on each of the chosen cells."""
    rows, columns = np.nonzero(chosen)
    same = {"marker": {"opacity": 1}}
    return go.Scatter(
        x=x[columns],
        y=y[rows],
        text=None if words is None else words[rows, columns],
        mode=mode,
        marker={"symbol": "x-thin", "size": 6, "line": {"width": 1.2, "color": palette.GREY}},
        selected=same,
        unselected=same,
        hoverinfo="skip",
        showlegend=False,
    )
