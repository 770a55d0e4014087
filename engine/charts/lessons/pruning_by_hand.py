"""Charts of lesson 1: the matrix with a mask, the cost of each weight, error curves and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart, line_chart
from engine.lessons.layer import Table
from engine.lessons.pruning_by_hand import COUNTS, OBS, WEIGHTS, Entry, MaskedLayer
from engine.numbers import listed, percent

NAMES = {"magnitude": "Magnitude", "wanda": "Wanda", OBS: "OBS saliency", "best": "Best possible mask"}
STRENGTH = "a"


def output_errors(layer: MaskedLayer) -> Chart:
    """Plot the error of each output under the user's mask."""
    bars = [Bar(f"y{row + 1}", error) for row, error in enumerate(layer.row_errors)]
    worst = max(bars, key=lambda bar: bar.value)
    summary = (
        f"The largest is {worst.name} with {percent(worst.value)}."
        if worst.value
        else "No weight has been removed yet."
    )
    return bar_chart(
        bars,
        axis="Error, % of the whole output",
        title="Error of each output",
        alt=f"Bar chart of the error of each of the eight outputs. {summary}",
        caption="‖change of this output‖ / ‖all outputs‖ over 64 tokens. The squares of the eight errors "
        "add up to the "
        "square of the total error.",
    )


def weight_matrix(layer: MaskedLayer) -> Chart:
    """Plot the weights below the strengths of their inputs."""
    strongest = max(range(len(layer.strengths)), key=lambda column: layer.strengths[column])
    return matrix_chart(
        Matrix(layer.weights, above=Bars(STRENGTH, layer.strengths)),
        title="The weights and the strengths of their inputs",
        alt="Heat map of eight by eight weights below a bar for the strength of each input. "
        f"The strongest input is x{strongest + 1}.",
        caption="Above: a, the root mean square of each input over 64 tokens.",
    )


def cost_matrix(costs: Table, strengths: Sequence[float]) -> Chart:
    """Plot the output error of removing each weight alone."""
    cells = [
        (cost, f"y{row + 1}, x{column + 1}")
        for row, line in enumerate(costs)
        for column, cost in enumerate(line)
    ]
    least, most = min(cells), max(cells)
    percents = [[100 * cost for cost in line] for line in costs]
    return matrix_chart(
        Matrix(percents, signed=False, name="output error, %", above=Bars(STRENGTH, strengths)),
        title="Output error when only this weight is removed, %",
        alt="Heat map of the cost of removing each weight, "
        f"from {percent(least[0])} at {least[1]} to {percent(most[0])} at {most[1]}.",
        caption="Above: a, the strength of each input (root mean square over 64 tokens). "
        "The cost of a weight is |w| · a divided by the size of the whole output.",
    )


def masked_matrix(layer: MaskedLayer, score: str) -> Chart:
    """Plot the weights that a score removes."""
    rows = [kept.count(False) for kept in layer.kept]
    return matrix_chart(
        Matrix(
            layer.weights,
            layer.kept,
            above=Bars(STRENGTH, layer.strengths),
            right=Bars("error, %", [100 * each for each in layer.row_errors]),
        ),
        title=f"Weights removed by {NAMES[score]}",
        alt=f"Heat map of the weights. {sum(rows)} of {WEIGHTS} are removed; per row: "
        f"{listed(rows, len(rows))}. "
        f"Output error {percent(layer.error)}.",
        caption="Crosses mark removed weights. Above: the strength of each input. Right: the part of the "
        "error in each output.",
    )


def error_curves(curves: Mapping[str, Sequence[float]], count: int) -> Chart:
    """Plot the output error against the number of removed weights."""
    middle = list(COUNTS).index(WEIGHTS // 2)  # half of the weights, which must be one of COUNTS
    summary = ", ".join(f"{NAMES[name]} {percent(errors[middle])}" for name, errors in curves.items())
    return line_chart(
        list(COUNTS),
        {NAMES[name]: errors for name, errors in curves.items()},
        axes=("Weights removed, of 64", "Output error, %"),
        title="One matrix, four ways to choose the mask",
        alt="Line chart of the output error against the number of removed weights. "
        f"With half of the weights removed: {summary}.",
        caption="All weights of the matrix compete; the kept weights are unchanged. "
        "The best possible mask is found by an exhaustive search.",
        at=count,
    )


def ranking(entries: Sequence[Entry], count: int) -> Chart:
    """Plot the leaderboard."""
    bars = [
        Bar(
            entry.name,
            entry.error,
            highlighted=entry.by_user,
            second_kind=entry.updated,
            note="also changes the kept weights" if entry.updated else "",
        )
        for entry in entries
    ]
    rank = next(at for at, bar in enumerate(bars, start=1) if bar.highlighted)
    errors = ", ".join(f"{bar.name} {percent(bar.value)}" for bar in bars)
    return bar_chart(
        bars,
        axis="Output error, %",
        title=f"Leaderboard with {count} of {WEIGHTS} weights removed",
        alt=f"Bar chart of output errors, the smallest first: {errors}. You are number {rank}.",
        caption="All entries remove as many weights as you did. Hatched: your mask. "
        "Green, with “update” in the name: also changes the kept weights.",
    )
