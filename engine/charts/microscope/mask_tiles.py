"""A weight and its mask as tiles: one square per cell, whose area is the share of kept weights.

A cell without kept weights gets a small square of another colour, so removed weights differ in size as well
as in colour; in a close-up they are crossed out. Each cell consists of a few heat map elements per side, all
in one heat map without gaps, which browsers draw as a single image: 16,000 cells take 0.1 s, while heat maps
with gaps took seconds.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from engine.analysis.microscope.types import Counts, Numbers, Values
from engine.charts import palette
from engine.charts.figure import FigureBuilder

SIDES = (11, 7, 5, 3)
"""Elements per side of a cell: the first choice that `ELEMENTS` allows is taken."""
ELEMENTS = 260_000
"""Maximum number of elements in a map, set by what browsers draw without delay."""
LEVELS = 100
"""Steps of each of the two colour scales."""
CROSSED, NUMBERED = 3_000, 320
"""Cells up to which removed ones are crossed out, and up to which all have their numbers written in them."""
SCALE = [
    [0, palette.REMOVED[1][1]],
    [(LEVELS - 1) / (2 * LEVELS), palette.REMOVED[0][1]],
    # Level z is at (z + LEVELS) / (2 * LEVELS): a transparent band half a level around 0.
    [(LEVELS - 0.5) / (2 * LEVELS), palette.TRANSPARENT],
    [(LEVELS + 0.5) / (2 * LEVELS), palette.TRANSPARENT],
    [(LEVELS + 1) / (2 * LEVELS), palette.KEPT[0][1]],
    [1, palette.KEPT[1][1]],
]
"""From the strongest removed weight (-100) over transparent (0) to the strongest kept one (100)."""


def tiles(strength: Numbers, kept: Numbers, x: Values, y: Values, top: float) -> go.Heatmap:
    """Return all cells as one heat map.

    Args:
        strength: absolute weights `[rows, columns]`, shown by colour.
        kept: share of kept weights `[rows, columns]`, shown by size.
        x, y: centres of the columns and rows, evenly spaced.
        top: strength with the deepest colour.
    """
    side = next((side for side in SIDES if strength.size * side**2 <= ELEMENTS), SIDES[-1])
    # 1 to 100: 0 is transparent and means no tile
    level = (1 + (LEVELS - 1) * np.clip(strength / top, 0, 1)).round().astype(np.int8)
    # int8: a byte per element on its way to the browser
    signed = np.where(kept > 0, level, -level).astype(np.int8)
    elements = signed.repeat(side, 0).repeat(side, 1) * _stamps(kept, side)  # [rows * side, columns * side]
    across, down = spacing(x) / side, spacing(y) / side
    return go.Heatmap(
        x0=x[0] - spacing(x) / 2 + across / 2,  # centre of the first element, not of the first cell
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
    """Return tiles of single weights, few enough to cross out removed ones; if there are even fewer, with all
    numbers.
    """
    if weight.size > NUMBERED:  # too many for numbers
        return [tiles(np.abs(weight), kept, x, y, top), _marks(kept <= 0, x, y, "markers")]
    words = np.vectorize(lambda value: f"{value:z.2f}".replace("-", "−"))(
        weight
    )  # z: no minus sign before a zero
    # NaN is a hole, which removed_tiles fill
    level = np.where(kept > 0, np.clip(np.abs(weight) / top, 0, 1), np.nan).astype(np.float32)
    kept_tiles = go.Heatmap(
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
    removed = np.where(kept > 0, np.nan, 0).astype(np.float32)
    empty = [[0, palette.UNDONE], [1, palette.UNDONE]]
    removed_tiles = go.Heatmap(
        x=x, y=y, z=removed, colorscale=empty, showscale=False, hoverinfo="skip", xgap=2, ygap=2
    )
    numbers, crossed = (
        _marks(kept > 0, x, y, "text", words),
        _marks(kept <= 0, x, y, "text", np.char.add("× ", words)),
    )
    numbers.textfont, crossed.textfont = {"color": palette.INK}, {"color": palette.VERMILLION}
    return [kept_tiles, removed_tiles, numbers, crossed]


def boxes(figure: FigureBuilder, x: Values, y: Values, m: int, row: int | None = None) -> None:
    """Draw a frame around each m columns of each row; `x` must begin with a group."""
    place = {} if row is None else {"row": row, "col": 1}
    line = {"color": palette.GREY, "width": 1.5}
    left, right, top, bottom = x[0] - 0.5, x[-1] + 0.5, y[0] - 0.5, y[-1] + 0.5
    for at in [*np.arange(left, right, m), right]:  # the last group may be cut by the zoom
        figure.add_shape(type="line", x0=at, x1=at, y0=top, y1=bottom, line=line, **place)
    for at in [*np.arange(top, bottom, 1), bottom]:
        figure.add_shape(type="line", x0=left, x1=right, y0=at, y1=at, line=line, **place)


def spacing(centres: Numbers) -> float:
    """Return the distance between neighbouring centres; 1 if there is only one."""
    return float(centres[1] - centres[0]) if len(centres) > 1 else 1.0


def _stamps(kept: Numbers, side: int) -> Counts:
    """Return 1 where an element is drawn, `[rows * side, columns * side]`: a square with the share's area in
    each cell, or with a third of the side if nothing is kept.
    """
    # the side of a square grows with the root of its area
    widths = np.where(kept > 0, np.maximum(1, np.round(side * np.sqrt(kept))), max(1, side // 3)).astype(int)
    if side > SIDES[-1]:
        widths = np.minimum(widths, side - 1)  # leaves a hairline between full tiles
    first = (side - widths) // 2
    place = np.arange(side)
    inside = (place >= first[..., None]) & (place < (first + widths)[..., None])  # [rows, columns, side]
    stamps = inside[:, :, :, None] & inside[:, :, None, :]  # [rows, columns, side, side]
    rows, columns = kept.shape
    # [rows, side, columns, side]
    return stamps.transpose(0, 2, 1, 3).reshape(rows * side, columns * side).astype(np.int8)


def _marks(chosen: Values, x: Values, y: Values, mode: str, words: Values | None = None) -> go.Scatter:
    """Return a cross, or words, on each of the chosen cells."""
    rows, columns = np.nonzero(chosen)
    same = {"marker": {"opacity": 1}}  # a box selection must not dim the other marks
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
