"""The masks of two scores for the same linear, next to each other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.types import Picture
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal
from engine.charts.figure import subplots
from engine.numbers import percent

HEIGHT = 280  # pixels


def two_masks(pictures: dict[str, Picture], same: float) -> Chart:
    """Return the share of kept weights per cell of two masks of one weight.

    Args:
        pictures: by the score's title, which may be a user's.
        same: share of the weights about which both decide the same.
    """
    names = list(pictures)
    figure = subplots([literal(name) for name in names], cols=len(names))
    for place, picture in enumerate(pictures.values(), start=1):
        figure.add_trace(_map(picture, last=place == len(names)), row=1, col=place)
    canvas(figure, height=HEIGHT)
    figure.update_layout(margin={"t": 28})
    figure.update_xaxes(title={"text": "Input column"})
    figure.update_yaxes(autorange="reversed")
    figure.update_yaxes(title={"text": "Output row"}, col=1)
    removed = {name: picture.row_removed for name, picture in pictures.items()}
    first = next(iter(pictures.values()))
    cell = f"{first.cell[0]} × {first.cell[1]} weights" if first.pooled else "one weight"
    words = f"Both decide the same about {percent(same)} of the weights."
    return Chart(
        title="Kept weights of both masks, %",
        figure=figure.build(),
        table=pd.DataFrame(
            {"row": np.arange(first.shape[0]), **{f"removed, {name}": rows for name, rows in removed.items()}}
        ),
        alt=f"Two heat maps of kept weights, rows by columns: {' and '.join(names)}. {words}",
        caption=f"A cell is {cell}; the darker, the more of it is kept. {words}",
        explain=partial(microscope.two_masks, pictures, same),
    )


def _map(picture: Picture, *, last: bool) -> go.Heatmap:
    rows, columns = picture.cell
    return go.Heatmap(
        z=100 * picture.kept,
        x0=columns / 2 - 0.5,
        dx=columns,
        y0=rows / 2 - 0.5,
        dy=rows,
        zmin=0,
        zmax=100,
        colorscale=palette.AMOUNT,
        showscale=last,
        colorbar={"title": {"text": "Kept, %", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate="row %{y:.0f}, column %{x:.0f}<br>%{z:.0f} % kept<extra></extra>",
    )
