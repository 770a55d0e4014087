"""Charts of lesson 2: the masks under an outlier input, the errors as it grows, and the inputs of the bundled
model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import line_chart
from engine.charts.lessons.shared import shared
from engine.lessons.outlier_feature import COLUMN, SPARSITY, STRENGTHS, WINDOWS, Inputs, OutlierLayer
from engine.numbers import percent

NAMES = {"magnitude": "Magnitude", "wanda": "Wanda"}
OUTLIER = f"x{COLUMN + 1}"


def outlier_matrix(layer: OutlierLayer, score: str | None) -> Chart:
    """Plot the weights below the strengths of their inputs.

    Args:
        layer: the layer.
        score: whose mask to show; None as long as the user still has to guess it.
    """
    summary = "No weight is removed yet."
    if score is not None:
        removed = f"{layer.removed_from_outlier} of the {len(layer.kept)} weights of {OUTLIER}"
        summary = f"{NAMES[score]} removes {removed}."
    return matrix_chart(
        Matrix(layer.weights, layer.kept if score else None, above=Bars("a", layer.strengths)),
        title="The weights and the strengths of their inputs"
        if score is None
        else f"Weights removed by {NAMES[score]}",
        alt=f"Heat map of eight by eight weights; {OUTLIER} has strength {layer.strengths[COLUMN]:.1f}. "
        f"{summary}",
        caption=f"Above: a, the root mean square of each input. {summary}",
    )


def error_curves(curves: Mapping[str, Sequence[float]], strength: float) -> Chart:
    """Plot the output errors against the strength of the outlier."""
    summary = " ".join(
        f"{NAMES[name]} goes from {percent(errors[0])} to {percent(errors[-1])}."
        for name, errors in curves.items()
    )
    return line_chart(
        STRENGTHS,
        {NAMES[name]: errors for name, errors in curves.items()},
        axes=(f"Strength of {OUTLIER}, multiple of the original", "Output error, %"),
        title=f"Output error at {percent(SPARSITY, 0)} sparsity",
        alt=f"Line chart of the output error against the strength of one input. {summary}",
        caption="Magnitude compares weights within the whole layer, Wanda within each row, as in their "
        "papers.",
        at=strength,
        log=True,
    )


@shared
def input_strengths(inputs: Inputs) -> Chart:
    """Plot the strength of each input of one linear of the bundled model."""
    colours = [
        palette.VERMILLION if column == inputs.strongest else palette.BLUE
        for column in range(len(inputs.strengths))
    ]
    bars = go.Bar(
        y=inputs.strengths,
        marker={"color": colours, "line": {"width": 0}},
        hovertemplate="feature %{x}: %{y:.2f}<extra></extra>",
    )
    figure = canvas(FigureBuilder(bars), height=250)
    figure.update_layout(bargap=0.15, showlegend=False)
    figure.add_annotation(
        x=inputs.strongest,
        y=max(inputs.strengths),
        text=f"feature {inputs.strongest}, × {inputs.ratio:.1f}",
        yshift=10,  # pixels
        showarrow=False,
    )
    figure.update_xaxes(title={"text": "Input feature"}, range=[-1, len(inputs.strengths)])
    # The annotation needs some room above the tallest bar.
    figure.update_yaxes(title={"text": "a, root mean square"}, range=[0, 1.18 * max(inputs.strengths)])
    return Chart(
        title=f"Inputs of {inputs.linear} in block {inputs.block}",
        figure=figure.build(),
        table=pd.DataFrame({"feature": range(len(inputs.strengths)), "strength": inputs.strengths}),
        alt=f"Bar chart of {len(inputs.strengths)} input strengths. Feature {inputs.strongest} is the "
        "strongest, "
        f"{inputs.ratio:.1f} times the median.",
        caption=f"The dense bundled model over {WINDOWS} windows of its calibration text. × is the multiple "
        "of the median feature.",
    )


def gains(inputs: Sequence[Inputs], chosen: Inputs) -> Chart:
    """Plot Wanda's gain over magnitude in each linear against the strength of its strongest input."""
    rows = [
        (each.block, each.linear, each.ratio, each.strongest, each.errors["magnitude"], each.errors["wanda"])
        for each in inputs
    ]
    table = pd.DataFrame(
        rows,
        columns=["block", "linear", "strongest_over_median", "strongest", "magnitude_error", "wanda_error"],
    )
    # share of magnitude's error that Wanda avoids
    table["gain"] = 1 - table["wanda_error"] / table["magnitude_error"]
    selected = table[(table["block"] == chosen.block) & (table["linear"] == chosen.linear)]
    points = [
        _points(table, palette.BLUE, "circle", 8),
        _points(selected, palette.VERMILLION, "diamond", 14),  # drawn again, over its own circle
    ]
    figure = canvas(FigureBuilder(points), height=280)
    figure.add_hline(y=0, line={"color": palette.GREY, "width": 1})  # below it, magnitude is better
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title={"text": "Strongest input, multiple of the median"})
    figure.update_yaxes(title={"text": "Wanda's gain, %"})
    best = table.loc[table["gain"].idxmax()]
    return Chart(
        title=f"Wanda's gain over magnitude in each of the {len(inputs)} linears",
        figure=figure.build(),
        table=table,
        alt="Scatter plot of Wanda's gain against the strongest input. "
        f"The largest gain is {percent(best['gain'])}, in {best['linear']} of block {best['block']}.",
        caption=f"Output error at {percent(SPARSITY, 0)} sparsity; each linear is pruned alone in the dense "
        "model. The diamond "
        "is the linear shown above. At a gain of 10 % the error is a tenth smaller; below the line "
        "magnitude is better.",
    )


def _points(table: pd.DataFrame, colour: str, symbol: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=table["strongest_over_median"],
        y=100 * table["gain"],
        text=[f"block {row.block}, {row.linear}" for row in table.itertuples()],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size},
        hovertemplate="%{text}<br>× %{x:.1f}, %{y:.1f} %<extra></extra>",
    )
