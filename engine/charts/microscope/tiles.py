"""Weights as tiles over rows and columns: a tile as large as the share that stays, a small mark of another colour where nothing does.

Tiles are heat maps whose gaps leave them smaller than their cell, so that what was removed is seen by size as well as by colour. Close up the
removed ones are crossed out and all have their numbers.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import plotly.graph_objects as go

from engine.charts import palette
from engine.inspection.facts import Numbers

WIDTH = 900
"""Pixels from the first to the last column, about; on a narrower screen the gaps take more of a cell."""
SPECK = 0.42
"""Side of a removed weight's mark, in sides of its cell."""
STEPS = ((0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 0.999), (0.999, 1.0))
"""Shares kept that are drawn alike: above the first, up to the second."""
CROSSED, NUMBERED = 3_000, 320
"""Up to so many cells the removed ones are crossed out, and have their numbers written into them."""


def tiles(strength: Numbers, kept: Numbers, x: Numbers, y: Numbers, top: float, height: float) -> list[go.Heatmap]:
    """Heat maps that together draw each cell once.

    Args:
        strength: absolute weights `[rows, columns]`, which the colour is for.
        kept: share that stays `[rows, columns]`.
        x, y: centres of the columns and rows.
        top: strength with the deepest colour.
        height: pixels from the first to the last row.
    """
    across, down = WIDTH / len(x), height / len(y)
    layers = [_layer(strength, kept <= 0, x, y, top, palette.GOES, (1 - SPECK) * across, (1 - SPECK) * down)]
    for low, high in STEPS:
        chosen = (kept > low) & (kept <= high)
        away = 0.0 if high == 1 else 1 - sqrt((low + high) / 2)
        if chosen.any():
            least = 1.0 if min(across, down) > 6 else 0.0  # a hairline between tiles, where there is room for one
            layers.append(_layer(strength, chosen, x, y, top, palette.STAYS, max(least, away * across), max(least, away * down)))
    return layers


def close_up(weight: Numbers, kept: Numbers, x: Numbers, y: Numbers, top: float, height: float) -> list[go.Heatmap | go.Scatter]:
    """Tiles of single entries, few enough to cross out the removed ones and, if there are fewer still, to read them all."""
    numbered = weight.size <= NUMBERED
    if not numbered:
        return [*tiles(np.abs(weight), kept, x, y, top, height), _crosses(kept, x, y)]
    words = np.vectorize(lambda value: f"{value:.2f}".replace("-", "−"))(weight)
    stays = _layer(np.abs(weight), kept > 0, x, y, top, palette.AMOUNT, 1, 1)
    goes = _layer(np.abs(weight), kept <= 0, x, y, top, [[0, palette.UNDONE], [1, palette.UNDONE]], 1, 1)
    gone = _texts(np.char.add("× ", words.astype(str)), kept <= 0, x, y, palette.VERMILLION)
    return [stays, goes, _texts(words, kept > 0, x, y, palette.INK), gone]


def boxes(figure: go.Figure, x: Numbers, y: Numbers, m: int, row: int | None = None) -> None:
    """A frame around each m columns of each row; `x` begins with a group."""
    place = {} if row is None else {"row": row, "col": 1}
    line = {"color": palette.GREY, "width": 1.5}
    left, right, top, bottom = x[0] - 0.5, x[-1] + 0.5, y[0] - 0.5, y[-1] + 0.5
    for at in [*np.arange(left, right, m), right]:
        figure.add_shape(type="line", x0=at, x1=at, y0=top, y1=bottom, line=line, **place)
    for at in [*np.arange(top, bottom, 1), bottom]:
        figure.add_shape(type="line", x0=left, x1=right, y0=at, y1=at, line=line, **place)


def _layer(strength: Numbers, chosen: Numbers, x: Numbers, y: Numbers, top: float, scale: list[list[object]], xgap: float, ygap: float) -> go.Heatmap:
    cells = np.where(chosen, strength, np.nan).astype(np.float32)
    return go.Heatmap(
        x=x, y=y, z=cells, zmin=0, zmax=top, colorscale=scale, showscale=False, hoverinfo="skip", hoverongaps=False, xgap=xgap, ygap=ygap
    )


def _crosses(kept: Numbers, x: Numbers, y: Numbers) -> go.Scatter:
    """A cross on each removed cell: markers, for a browser takes many times as long to set as many letters."""
    rows, columns = np.nonzero(kept <= 0)
    same = {"marker": {"opacity": 1}}
    return go.Scatter(
        x=x[columns],
        y=y[rows],
        mode="markers",
        marker={"symbol": "x-thin", "size": 6, "line": {"width": 1.2, "color": palette.INK}},
        selected=same,
        unselected=same,
        hoverinfo="skip",
        showlegend=False,
    )


def _texts(words: Numbers, chosen: Numbers, x: Numbers, y: Numbers, colour: str) -> go.Heatmap:
    """Words in some of the cells, over whatever is drawn there."""
    nothing = [[0, palette.TRANSPARENT], [1, palette.TRANSPARENT]]
    cells = np.where(chosen, 0.0, np.nan).astype(np.float32)
    return go.Heatmap(
        x=x,
        y=y,
        z=cells,
        text=np.where(chosen, words, ""),
        texttemplate="%{text}",
        textfont={"color": colour},
        colorscale=nothing,
        showscale=False,
        hoverinfo="skip",
        hoverongaps=False,
    )
