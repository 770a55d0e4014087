"""The groups of an N:M pattern: a few of them framed, and how many weights all of them keep."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import microscope
from engine.analysis.microscope.types import Groups, Numbers
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.microscope.mask_tiles import boxes, close_up

ROW_HEIGHT = 30  # pixels


def group_boxes(groups: Groups) -> Chart:
    """Return the entries of the first groups, with a frame around each group."""
    # x is the place in the groups; with a permutation the column number is only the label.
    x, y = np.arange(len(groups.order), dtype=float), np.arange(*groups.rows, dtype=float)
    top = float(np.abs(groups.weight).max()) or 1.0  # of the sample; 1 for zeros only
    kept = groups.keep.astype(np.float32)
    figure = FigureBuilder([*close_up(groups.weight, kept, x, y, top), _hover_layer(groups, x)])
    canvas(figure, height=90 + ROW_HEIGHT * len(y))
    boxes(figure, x, y, groups.m)
    figure.update_xaxes(
        title={"text": "Column: input"},
        tickvals=x,
        ticktext=[str(column) for column in groups.order],
        range=[-0.6, len(x) - 0.4],  # 0.1 more than the cells, so that the outer frame is not cut
    )
    figure.update_yaxes(
        title={"text": "Row: output"}, range=[y[-1] + 0.6, y[0] - 0.6], dtick=1, showgrid=False
    )
    permuted = (
        "Columns were permuted before they were grouped, so neighbours here need not be neighbours in the "
        "weight."
        if groups.permuted
        else ""
    )
    return Chart(
        title=f"Groups of {groups.m}: at most {groups.n} weights are kept in each",
        figure=figure.build(),
        table=pd.DataFrame({"kept": range(groups.m + 1), "groups": groups.kept}),
        alt=f"The first groups of rows {groups.rows[0]} to {groups.rows[1] - 1}, framed, with removed "
        f"weights crossed out. {count_words(groups)}",
        caption=f"{count_words(groups)} {permuted}".strip(),
        explain=partial(microscope.groups, groups),
    )


def count_words(groups: Groups) -> str:
    """Return how many groups keep how many weights, and whether any breaks the pattern, over the whole
    linear.
    """
    parts = [f"{number:,} keep {kept}" for kept, number in enumerate(groups.kept) if number]
    violations = (
        f"{groups.violations:,} keep more than {groups.n}."
        if groups.violations
        else f"None keeps more than {groups.n}."
    )
    return f"Of {sum(groups.kept):,} groups {', '.join(parts)} of {groups.m}. {violations}"


def _hover_layer(groups: Groups, x: Numbers) -> go.Heatmap:
    """Return an invisible heat map over the tiles that has the hover texts."""
    words = np.where(groups.keep, "kept", "removed")
    return go.Heatmap(
        x=x,
        y=np.arange(*groups.rows),
        z=groups.weight,
        # [rows, shown, 2]: the column in the weight, and the decision
        customdata=np.dstack([np.broadcast_to(groups.order, groups.weight.shape), words]),
        colorscale=[[0, palette.TRANSPARENT], [1, palette.TRANSPARENT]],
        showscale=False,
        hovertemplate="row %{y}, column %{customdata[0]}<br>%{z:.4f}, %{customdata[1]}<extra></extra>",
    )
