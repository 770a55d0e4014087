"""The groups of an N:M pattern made visible: a few of them framed, and how many weights all of them keep."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from engine.charts.chart import Chart, canvas
from engine.charts.microscope.tiles import boxes, close_up
from engine.inspection.facts import Groups, Numbers

TALL = 30  # pixels of a row


def group_boxes(groups: Groups) -> Chart:
    """The sample's entries, a frame around each group."""
    x, y = np.arange(len(groups.order), dtype=float), np.arange(*groups.rows, dtype=float)
    top = float(np.abs(groups.weight).max()) or 1.0
    kept = groups.keep.astype(np.float32)
    figure = go.Figure([*close_up(groups.weight, kept, x, y, top), _pointer(groups, x)])
    canvas(figure, height=90 + TALL * len(y))
    boxes(figure, x, y, groups.m)
    figure.update_xaxes(title={"text": "Column: input"}, tickvals=x, ticktext=[str(column) for column in groups.order], range=[-0.6, len(x) - 0.4])
    figure.update_yaxes(title={"text": "Row: output"}, range=[y[-1] + 0.6, y[0] - 0.6], dtick=1, showgrid=False)
    table = pd.DataFrame({"kept": range(groups.m + 1), "groups": groups.kept})
    return Chart(
        title=f"Groups of {groups.m}: at most {groups.n} stay in each",
        figure=figure,
        table=table,
        alt=f"The first groups of rows {groups.rows[0]} to {groups.rows[1] - 1}, framed, with removed weights crossed out. {count_words(groups)}",
        caption=f"{count_words(groups)} {_permutation_words(groups)}".strip(),
    )


def count_words(groups: Groups) -> str:
    """How many groups keep how many, and that none breaks the pattern, counted over the whole linear."""
    parts = [f"{number:,} keep {kept}" for kept, number in enumerate(groups.kept) if number]
    broken = f"{groups.violations:,} keep more than {groups.n}." if groups.violations else f"None keeps more than {groups.n}."
    return f"Of {sum(groups.kept):,} groups {', '.join(parts)} of {groups.m}. {broken}"


def _permutation_words(groups: Groups) -> str:
    if not groups.permuted:
        return ""
    return "A permutation chose which columns share a group, so neighbours here need not be neighbours in the weight."


def _pointer(groups: Groups, x: Numbers) -> go.Heatmap:
    words = np.where(groups.keep, "kept", "removed")
    return go.Heatmap(
        x=x,
        y=np.arange(*groups.rows),
        z=groups.weight,
        customdata=np.dstack([np.broadcast_to(groups.order, groups.weight.shape), words]),
        colorscale=[[0, "rgba(0, 0, 0, 0)"], [1, "rgba(0, 0, 0, 0)"]],
        showscale=False,
        hovertemplate="row %{y}, column %{customdata[0]}<br>%{z:.4f}, %{customdata[1]}<extra></extra>",
    )
