"""Charts of lesson 6: a matrix pruned by a score, and the neurons that a model loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import line_chart
from engine.lessons.symmetric_scores import MODEL_SPARSITIES, LostNeurons, Masked
from engine.numbers import listed, percent

STRENGTH = "a<sub>j</sub>"  # Plotly renders a subset of HTML


def masked_matrix(masked: Masked, title: str) -> Chart:
    """Plot the weights and the mask, with input strengths above and the number of kept weights per row."""
    counts = listed(masked.row_counts, len(masked.row_counts))
    return matrix_chart(
        Matrix(
            masked.weights,
            masked.kept,
            decimals=2,
            above=Bars(STRENGTH, masked.strengths),
            right=Bars("weights kept", masked.row_counts),
        ),
        title=title,
        alt=f"Heat map of the weights; crosses mark removed ones. Kept per row: {counts}. "
        f"{dead_neurons(masked)}",
        caption="Crosses mark removed weights. Above: the strength of each input. "
        f"Right: how many weights each output keeps. {dead_neurons(masked)}",
    )


def score_matrix(masked: Masked, title: str) -> Chart:
    """Plot the score of each weight, with the strengths of inputs and outputs."""
    return matrix_chart(
        Matrix(
            masked.scores,
            masked.kept,
            signed=False,
            decimals=2,
            name="score",
            above=Bars(STRENGTH, masked.strengths),
            right=Bars("b", masked.output_strengths),
        ),
        title=title,
        alt=f"Heat map of the scores; crosses mark removed weights. {dead_neurons(masked)}",
        caption="Crosses mark the weights with the lowest scores. Above: a, the strength of each input. "
        f"Right: b, the strength of each output. {dead_neurons(masked)}",
    )


def dead_neurons(masked: Masked) -> str:
    """Return a sentence that names the outputs and inputs that are disconnected."""
    rows = [f"y{row + 1}" for row in masked.dead_rows]
    columns = [f"x{column + 1}" for column in masked.dead_columns]
    sentences = [
        f"No weight is left in the row of {listed(rows)}." if rows else "",
        f"No output uses {listed(columns)}." if columns else "",
    ]
    return " ".join(filter(None, sentences)) or "All outputs and inputs are still connected."


def lost_neurons(losses: Mapping[str, Sequence[LostNeurons]], total: int) -> Chart:
    """Plot how many of the bundled model's `total` neurons are disconnected, by the title of the score."""
    lines = {name: [each.rows + each.columns for each in row] for name, row in losses.items()}
    at = MODEL_SPARSITIES.index(0.9)  # the sparsity that the caption quotes
    counts = listed([f"{name} {values[at]}" for name, values in lines.items()])
    summary = f"At {percent(MODEL_SPARSITIES[at], 0)}: {counts}."
    return line_chart(
        [100 * sparsity for sparsity in MODEL_SPARSITIES],
        lines,
        axes=("Sparsity, %", "Disconnected neurons"),
        title="Disconnected neurons in the bundled model",
        alt=f"Line chart of the number of neurons without any weight against the sparsity. {summary}",
        caption=f"Outputs and inputs without any weight left, of {total:,} in all linears; all weights of a "
        "linear compete. "
        f"{summary} Counted live from the model's weights.",
        scale=1,  # counts, not shares
        hover="%{y:,.0f}",
    )
