"""The drawings of lesson 6: a matrix under a score, and the neurons that a model loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import line_chart
from engine.lessons.symmetric import MODEL_SPARSITIES, Lost, Masked
from engine.numbers import listed, percent

STRENGTH = "a<sub>j</sub>"


def masked_matrix(found: Masked, title: str) -> Chart:
    """The weights with crosses on what is removed, the inputs' strengths above and beside each row how many
    stay.
    """
    return matrix_chart(
        Matrix(
            found.weights,
            found.kept,
            decimals=2,
            above=Bars(STRENGTH, found.strengths),
            beside=Bars("weights left", found.left),
        ),
        title=title,
        alt=f"Heat map of the weights with what is removed crossed out; by row {listed(found.left, len(found.left))} stay. {dead_words(found)}",
        caption=f"Crosses are removed weights. Above: the strength of each input. Beside: how many weights each output keeps. {dead_words(found)}",
    )


def score_matrix(found: Masked, title: str) -> Chart:
    """What the score says of each weight, beside how loud each output is."""
    return matrix_chart(
        Matrix(
            found.scores,
            found.kept,
            signed=False,
            decimals=2,
            name="score",
            above=Bars(STRENGTH, found.strengths),
            beside=Bars("b", found.loudness),
        ),
        title=title,
        alt=f"Heat map of the scores, what is removed crossed out. {dead_words(found)}",
        caption="The lowest scores are crossed out. Above: a, the strength of each input. Beside: b, the strength of each output. "
        f"{dead_words(found)}",
    )


def dead_words(found: Masked) -> str:
    """Which outputs and inputs are cut off."""
    rows = [f"y{row + 1}" for row in found.dead_rows]
    columns = [f"x{column + 1}" for column in found.dead_columns]
    said = [
        f"No input is left for {listed(rows)}." if rows else "",
        f"Nobody listens to {listed(columns)}." if columns else "",
    ]
    return " ".join(filter(None, said)) or "Every output has an input left, and every input is heard."


def lost_neurons(found: Mapping[str, Sequence[Lost]], total: int) -> Chart:
    """How many neurons are cut off in the bundled model, by the name of the score."""
    lines = {name: [each.rows + each.columns for each in losses] for name, losses in found.items()}
    place = MODEL_SPARSITIES.index(0.9)
    told = listed([f"{name} {values[place]}" for name, values in lines.items()])
    return line_chart(
        [100 * sparsity for sparsity in MODEL_SPARSITIES],
        lines,
        axes=("Sparsity, %", "Neurons cut off"),
        title="Neurons cut off in the bundled model",
        alt=f"Line chart of the number of neurons without a weight against the sparsity. At {percent(MODEL_SPARSITIES[place], 0)}: {told}.",
        caption=f"Outputs without a weight and inputs that nobody listens to, of {total:,} in all linears, where all weights of a linear compete. "
        f"At {percent(MODEL_SPARSITIES[place], 0)}: {told}. Counted now, from the model's weights.",
        scale=1,
        hover="%{y:,.0f}",
    )
