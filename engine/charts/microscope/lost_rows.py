"""The output neurons that pruning changed most on the calibration text."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.numbers import ceiling, percent
from engine.inspection.facts import Study

HEIGHT = 300


def lost_rows(study: Study) -> Chart:
    """Bars of the relative error, the largest first, with the median of all rows as a line."""
    columns = ["row", "error", "share", "sparsity"]
    table = pd.DataFrame([(row.row, row.error, row.share, row.sparsity) for row in study.lost], columns=columns)
    names = [f"{row}" for row in table["row"]]
    bars = go.Bar(
        x=names,
        y=100 * table["error"],
        name="row",
        showlegend=False,
        customdata=table[["share", "sparsity"]],
        marker={"color": palette.VERMILLION, "cornerradius": 3},
        hovertemplate="row %{x}<br>error %{y:.1f} %<br>%{customdata[0]:.1%} of the linear's squared error"
        "<br>%{customdata[1]:.1%} of its weights removed<extra></extra>",
    )
    median = go.Scatter(
        x=names,
        y=[100 * study.median_error] * len(names),
        name=f"median of all rows: {percent(study.median_error)}",
        mode="lines",
        line={"color": palette.BLUE, "dash": "dash", "width": 2.5},
        hoverinfo="skip",
    )
    figure = canvas(go.Figure([bars, median]), height=HEIGHT, legend_lines=1)
    top = ceiling(max(table["error"].max() if len(table) else 0.0, study.median_error), (1, 1.5, 2, 3, 4, 5, 6, 8, 10))
    figure.update_xaxes(title={"text": "Row: output"}, type="category")
    figure.update_yaxes(title={"text": "Relative error, %"}, range=[0, 102 * top])
    together = percent(float(table["share"].sum()))
    return Chart(
        title="The rows that lost most",
        figure=figure,
        table=table,
        alt=f"Bar chart of the {len(table)} rows with the largest relative output error{_worst(study)}. "
        f"Median of all rows {percent(study.median_error)}.",
        caption=f"‖y − y′‖ / ‖y‖ of single outputs from the same input, on {study.sampled:,} sampled calibration tokens. "
        f"These {len(table)} make up {together} of the squared error of the whole output, whose relative error is {percent(study.error)}.",
    )


def _worst(study: Study) -> str:
    return f", from row {study.lost[0].row} with {percent(study.lost[0].error)} on" if study.lost else ""
