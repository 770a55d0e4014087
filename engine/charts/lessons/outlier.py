"""The drawings of lesson 2: the masks under a loud input, the errors as it gets louder, the inputs of the
bundled model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import line_chart
from engine.lessons.outlier import COLUMN, SPARSITY, STRENGTHS, WINDOWS, Inputs, Loud
from engine.numbers import percent

NAMES = {"magnitude": "Magnitude", "wanda": "Wanda"}
LOUD = f"x{COLUMN + 1}"


def loud_matrix(loud: Loud, score: str | None) -> Chart:
    """The weights under the strengths of their inputs, with what a score removes unless that is still to be
    guessed.
    """
    gone = (
        "Nothing is removed yet."
        if score is None
        else f"{NAMES[score]} removes {loud.removed_there} of the {len(loud.kept)} weights of {LOUD}."
    )
    return matrix_chart(
        Matrix(loud.weights, loud.kept if score else None, above=Bars("a", loud.strengths)),
        title="The weights, and how strong their inputs are"
        if score is None
        else f"What {NAMES[score]} removes",
        alt=f"Heat map of eight by eight weights; {LOUD} has strength {loud.strengths[COLUMN]:.1f}. {gone}",
        caption=f"Above: a, the root mean square of each input. {gone}",
    )


def loud_curves(curves: Mapping[str, Sequence[float]], strength: float) -> Chart:
    """The output errors as the input gets louder."""
    told = " ".join(
        f"{NAMES[name]} goes from {percent(errors[0])} to {percent(errors[-1])}."
        for name, errors in curves.items()
    )
    return line_chart(
        STRENGTHS,
        {NAMES[name]: errors for name, errors in curves.items()},
        axes=(f"How many times as loud {LOUD} is", "Output error, %"),
        title=f"Output error with {percent(SPARSITY, 0)} of the weights gone",
        alt=f"Line chart of the output error against the strength of one input. {told}",
        caption="Magnitude compares within the whole layer, Wanda within each row, as published.",
        at=strength,
        log=True,
    )


def input_strengths(inputs: Inputs) -> Chart:
    """How strong each input of one linear of the bundled model is."""
    colours = [
        palette.VERMILLION if column == inputs.loudest else palette.BLUE
        for column in range(len(inputs.strengths))
    ]
    bars = go.Bar(
        y=inputs.strengths,
        marker={"color": colours, "line": {"width": 0}},
        hovertemplate="feature %{x}: %{y:.2f}<extra></extra>",
    )
    figure = canvas(go.Figure(bars), height=250)
    figure.update_layout(bargap=0.15, showlegend=False)
    figure.add_annotation(
        x=inputs.loudest,
        y=max(inputs.strengths),
        text=f"feature {inputs.loudest}, × {inputs.ratio:.1f}",
        yshift=10,
        showarrow=False,
    )
    figure.update_xaxes(title={"text": "Input feature"}, range=[-1, len(inputs.strengths)])
    figure.update_yaxes(title={"text": "a, root mean square"}, range=[0, 1.18 * max(inputs.strengths)])
    return Chart(
        title=f"What {inputs.linear} of block {inputs.block} reads",
        figure=figure,
        table=pd.DataFrame({"feature": range(len(inputs.strengths)), "strength": inputs.strengths}),
        alt=f"Bar chart of {len(inputs.strengths)} input strengths. Feature {inputs.loudest} is the loudest, {inputs.ratio:.1f} times the median.",
        caption=f"The bundled model, dense, over {WINDOWS} windows of its stories. × is the multiple of the median feature.",
    )


def gains(inputs: Sequence[Inputs], chosen: Inputs) -> Chart:
    """What Wanda gains over magnitude in each linear, against how loud its loudest input is."""
    rows = [
        (each.block, each.linear, each.ratio, each.loudest, each.errors["magnitude"], each.errors["wanda"])
        for each in inputs
    ]
    table = pd.DataFrame(
        rows, columns=["block", "linear", "loudest_over_median", "loudest", "magnitude_error", "wanda_error"]
    )
    table["gain"] = 1 - table["wanda_error"] / table["magnitude_error"]
    figure = canvas(
        go.Figure(
            [
                _points(table, palette.BLUE, "circle", 8),
                _points(_row(table, chosen), palette.VERMILLION, "diamond", 14),
            ]
        ),
        height=280,
    )
    figure.add_hline(y=0, line={"color": palette.GREY, "width": 1})
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title={"text": "Loudest input, multiple of the median"})
    figure.update_yaxes(title={"text": "Wanda's gain, %"})
    best = table.loc[table["gain"].idxmax()]
    return Chart(
        title=f"What Wanda gains over magnitude in each of the {len(inputs)} linears",
        figure=figure,
        table=table,
        alt=f"Scatter of Wanda's gain against the loudest input. Most in {best['linear']} of block {best['block']}: {percent(best['gain'])}.",
        caption=f"Output error with {percent(SPARSITY, 0)} of the weights gone, each linear pruned alone in the dense model; the diamond is the "
        "one above. A gain of 10 % is an error a tenth smaller; below the line magnitude is better.",
    )


def _row(table: pd.DataFrame, chosen: Inputs) -> pd.DataFrame:
    return table[(table["block"] == chosen.block) & (table["linear"] == chosen.linear)]


def _points(table: pd.DataFrame, colour: str, symbol: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=table["loudest_over_median"],
        y=100 * table["gain"],
        text=[f"block {row.block}, {row.linear}" for row in table.itertuples()],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size},
        hovertemplate="%{text}<br>× %{x:.1f}, %{y:.1f} %<extra></extra>",
    )
