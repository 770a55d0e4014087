"""The weight of one linear as a heat map with its mask, and the activation norm of each column above it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.picture import pooled
from engine.analysis.microscope.types import Numbers, Picture
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder, subplots
from engine.charts.microscope.mask_tiles import CROSSED, NUMBERED, boxes, close_up, spacing, tiles
from engine.numbers import percent, plural

STRIP = 74  # pixels, height of the panel of activation norms
WIDTH, MIN_HEIGHT, MAX_HEIGHT = 1100, 200, 560  # pixels of the map; its width on a large screen
MOST_FRAMED = 64
"""Columns up to which the groups of an N:M pattern are framed."""
DEEPEST = 0.99
"""Quantile with the deepest colour, so that a few outliers do not make all others pale."""


def weight_map(picture: Picture, norms: Numbers | None = None, m: int | None = None) -> Chart:
    """Return the map of a part of a weight.

    Args:
        norms: activation norm of each input of the whole linear, `[in]`; None while it is not known.
        m: group size of an N:M pattern without a permutation; None for no frames.
    """
    x, y = _centres(picture.columns, picture.cell[1]), _centres(picture.rows, picture.cell[0])
    strength = np.abs(picture.dense)
    top = float(np.quantile(strength, DEEPEST)) or 1.0  # 1 if nearly all entries are 0
    heights = STRIP, _map_height(picture)  # pixels; only their ratio counts
    figure = subplots(rows=2, shared_xaxes=True, vertical_spacing=0.02, row_heights=heights)
    figure.add_trace(_strip(picture, norms, x), row=1, col=1)
    close = not picture.pooled and strength.size <= CROSSED
    drawn = (
        close_up(picture.dense, picture.kept, x, y, top)
        if close
        else [tiles(strength, picture.kept, x, y, top)]
    )
    for layer in drawn:
        figure.add_trace(layer, row=2, col=1)
    figure.add_trace(_hover_layer(picture, x, y, top), row=2, col=1)
    figure.add_trace(_handles(x, y), row=2, col=1)
    # frames must start at a group
    if m is not None and not picture.pooled and len(x) <= MOST_FRAMED and picture.columns[0] % m == 0:
        boxes(figure, x, y, m, row=2)
    _axes(figure, picture, norms)
    return Chart(
        title=f"Weight and mask: {part_words(picture)}",
        figure=figure.build(),
        table=_table(picture),
        alt=f"Heat map of {part_words(picture)}; {percent(picture.sparsity)} of the whole linear is removed. "
        f"{_cell_words(picture)}",
        caption=_caption(picture, norms is not None),
        explain=partial(microscope.weight_map, picture),
    )


def part_words(picture: Picture) -> str:
    """Return `all 384 × 128`, or `rows 0–63, columns 32–95 of 384 × 128`."""
    size = f"{picture.shape[0]:,} × {picture.shape[1]:,}"
    if picture.whole:
        return f"all {size}"
    (top, bottom), (left, right) = picture.rows, picture.columns
    return f"rows {top:,}–{bottom - 1:,}, columns {left:,}–{right - 1:,} of {size}"


def _cell_words(picture: Picture) -> str:
    if not picture.pooled:
        return "Each cell is one weight."
    rows, columns = picture.cell
    return f"Each cell is {rows * columns} weights ({plural(rows, 'row')} × {plural(columns, 'column')})."


def _caption(picture: Picture, has_norms: bool) -> str:
    strip = (
        "Upper panel: activation norm of each input."
        if has_norms
        else "The activation norms of the inputs are being computed."
    )
    if picture.pooled:
        how = "Colour: mean absolute weight. Tile size: share of kept weights; an orange speck keeps none."
    elif picture.dense.size <= NUMBERED:
        how = (
            "Grey and crossed out: removed, with its former value. Blue: kept, deeper for larger absolute "
            "values."
        )
    else:
        how = "Full blue tile: kept, deeper for larger absolute values. Small orange tile: removed."
    return f"{_cell_words(picture)} {how} {strip} Drag a box over the map to zoom in."


def _centres(span: tuple[int, int], size: int) -> Numbers:
    """Return the middle of each cell, in rows or columns, as if the last one were as large as the others."""
    middle: Numbers = np.arange(*span, size) + (size - 1) / 2
    return middle


def _map_height(picture: Picture) -> int:
    """Return the pixels of the map: square cells if they fit."""
    rows, columns = picture.dense.shape
    # at most 44 pixels per cell, for a small part
    return int(min(MAX_HEIGHT, max(MIN_HEIGHT, rows * min(WIDTH / columns, 44))))


def _strip(picture: Picture, norms: Numbers | None, x: Numbers) -> go.Bar:
    means = (
        np.zeros(len(x))  # an empty strip keeps the layout until the norms arrive
        if norms is None
        # [in] to [1, in], pooled to [cells]
        else pooled(norms[slice(*picture.columns)][None], (1, picture.cell[1]))[0]
    )
    return go.Bar(
        x=x,
        y=means,
        width=picture.cell[1],
        marker={"color": palette.GREEN, "line": {"width": 0}},
        hovertemplate="column %{x}<br>activation norm %{y:.3g}<extra></extra>",
        showlegend=False,
    )


def _hover_layer(picture: Picture, x: Numbers, y: Numbers, top: float) -> go.Heatmap:
    """Return an invisible heat map over the whole map that has the hover texts."""
    words = "row %{y}, column %{x}<br>dense %{z:.4f}<br>pruned %{customdata[0]:.4f}<extra></extra>"
    if picture.pooled:
        words = (
            "around row %{y}, column %{x}<br>mean |w| dense %{z:.4f}, pruned %{customdata[0]:.4f}"
            "<br>%{customdata[1]:.0%} kept<extra></extra>"
        )
    return go.Heatmap(
        x0=x[0],
        dx=spacing(x),
        y0=y[0],
        dy=spacing(y),
        z=picture.dense,
        customdata=np.dstack([picture.pruned, picture.kept]),  # [rows, columns, 2]
        zmin=0,
        zmax=top,
        colorscale=[[0, palette.TRANSPARENT], [1, palette.TRANSPARENT]],
        showscale=False,
        hovertemplate=words,
    )


def _handles(x: Numbers, y: Numbers) -> go.Scatter:
    """Return invisible points, without which Plotly offers no selection on a heat map."""
    return go.Scatter(
        x=[x[0], x[-1]],
        y=[y[0], y[-1]],
        mode="markers",
        marker={"opacity": 0, "size": 1},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        hoverinfo="skip",
        showlegend=False,
    )


def _axes(figure: FigureBuilder, picture: Picture, norms: Numbers | None) -> None:
    canvas(figure, height=_map_height(picture) + STRIP + 60)
    (top, bottom), (left, right) = picture.rows, picture.columns
    # A box is read by the page, which then asks for that part: no zoom in Plotly. Another part has another
    # uirevision, so nothing of the previous view is kept.
    figure.update_layout(dragmode="select", bargap=0, uirevision=part_words(picture), selectdirection="any")
    figure.update_xaxes(range=[left - 0.5, right - 0.5], fixedrange=False)
    figure.update_xaxes(title={"text": "Column: input"}, tickformat="d", **_steps(right - left), row=2, col=1)
    figure.update_yaxes(
        title={"text": "Row: output"},
        range=[bottom - 0.5, top - 0.5],
        showgrid=False,
        **_steps(bottom - top),
        row=2,
        col=1,
    )
    figure.update_yaxes(
        title={"text": "Norm"}, rangemode="tozero", nticks=3, showticklabels=norms is not None, row=1, col=1
    )


def _steps(length: int) -> dict[str, int]:
    """Return whole-number ticks for an axis that is so short that it would get halves."""
    return {"dtick": 1} if length <= 12 else {}


def _table(picture: Picture) -> pd.DataFrame:
    """Return one row per cell."""
    rows, columns = picture.dense.shape
    first_row = np.repeat(picture.rows[0] + picture.cell[0] * np.arange(rows), columns)
    first_column = np.tile(picture.columns[0] + picture.cell[1] * np.arange(columns), rows)
    values = {"dense": picture.dense.ravel(), "pruned": picture.pruned.ravel(), "kept": picture.kept.ravel()}
    if not picture.pooled:
        return pd.DataFrame({"row": first_row, "column": first_column, **values})
    # inclusive; the last cell may be smaller
    last_row = np.minimum(first_row + picture.cell[0], picture.rows[1]) - 1
    last_column = np.minimum(first_column + picture.cell[1], picture.columns[1]) - 1
    places = {
        "first_row": first_row,
        "last_row": last_row,
        "first_column": first_column,
        "last_column": last_column,
    }
    return pd.DataFrame({**places, **values})
