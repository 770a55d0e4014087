"""The drawings of lesson 1: the matrix with a mask, what each weight would cost, the curves, the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart, line_chart
from engine.lessons.by_hand import COUNTS, OBS, WEIGHTS, Board, Entry
from engine.lessons.layer import Table
from engine.numbers import listed, percent

NAMES = {"magnitude": "Magnitude", "wanda": "Wanda", OBS: "OBS saliency", "best": "Best mask of all"}
STRENGTH = "a"


def output_errors(board: Board) -> Chart:
    """Which outputs a person's mask has moved."""
    bars = [Bar(f"y{row + 1}", error) for row, error in enumerate(board.row_errors)]
    worst = max(bars, key=lambda bar: bar.value)
    told = (
        f"Most of it in {worst.name}: {percent(worst.value)}."
        if worst.value
        else "Nothing has been removed yet."
    )
    return bar_chart(
        bars,
        axis="Error, % of the whole output",
        title="What each output has lost",
        alt=f"Bar chart of the error of each of the eight outputs. {told}",
        caption="‖change of the output‖ / ‖all outputs‖ over 64 tokens. The squares of the eight add up to the square of the whole error.",
    )


def weight_matrix(board: Board) -> Chart:
    """The weights under the strengths of their inputs."""
    loud = max(range(len(board.strengths)), key=lambda column: board.strengths[column])
    return matrix_chart(
        Matrix(board.weights, above=Bars(STRENGTH, board.strengths)),
        title="The weights, and how strong their inputs are",
        alt=f"Heat map of eight by eight weights under a bar for the strength of each input. The strongest is x{loud + 1}.",
        caption="Above: a, the root mean square of each input over 64 tokens.",
    )


def cost_matrix(costs: Table, strengths: Sequence[float]) -> Chart:
    """What each weight costs when it alone is removed."""
    cells = [
        (cost, f"y{row + 1}, x{column + 1}")
        for row, line in enumerate(costs)
        for column, cost in enumerate(line)
    ]
    percents = [[100 * cost for cost in line] for line in costs]
    return matrix_chart(
        Matrix(percents, signed=False, name="output error, %", above=Bars(STRENGTH, strengths)),
        title="Output error when this weight alone is removed, %",
        alt=f"Heat map of the cost of each weight, from {percent(min(cells)[0])} at {min(cells)[1]} to {percent(max(cells)[0])} at {max(cells)[1]}.",
        caption="Above: a, how strong each input is (root mean square over 64 tokens). A cost is |w| · a over the size of the whole output.",
    )


def masked_matrix(board: Board, score: str) -> Chart:
    """What a score removes."""
    rows = [kept.count(False) for kept in board.kept]
    return matrix_chart(
        Matrix(
            board.weights,
            board.kept,
            above=Bars(STRENGTH, board.strengths),
            beside=Bars("error, %", [100 * each for each in board.row_errors]),
        ),
        title=f"What {NAMES[score]} removes",
        alt=f"Heat map of the weights with {sum(rows)} of {WEIGHTS} removed, by row {listed(rows, len(rows))}. Output error {percent(board.error)}.",
        caption="Crosses are removed weights. Above: the strength of each input. Beside: each output's part of the error.",
    )


def error_curves(curves: Mapping[str, Sequence[float]], count: int) -> Chart:
    """How the error grows with the number of weights that go."""
    middle = list(COUNTS).index(WEIGHTS // 2)
    told = ", ".join(f"{NAMES[name]} {percent(errors[middle])}" for name, errors in curves.items())
    return line_chart(
        list(COUNTS),
        {NAMES[name]: errors for name, errors in curves.items()},
        axes=("Weights removed, of 64", "Output error, %"),
        title="The same matrix, four ways to choose",
        alt=f"Line chart of the output error against the number of removed weights. With half of them gone: {told}.",
        caption="All weights of the matrix compete, and those that stay are left as they were. The best mask is found by trying all of them.",
        at=count,
    )


def ranking(entries: Sequence[Entry], count: int) -> Chart:
    """The leaderboard."""
    bars = [
        Bar(
            entry.name,
            entry.error,
            entry.mine,
            entry.updated,
            "changes the weights that stay" if entry.updated else "",
        )
        for entry in entries
    ]
    place = next(at for at, bar in enumerate(bars, start=1) if bar.mine)
    return bar_chart(
        bars,
        axis="Output error, %",
        title=f"Leaderboard with {count} of {WEIGHTS} weights removed",
        alt=f"Bar chart of output errors, the least first: {', '.join(f'{bar.name} {percent(bar.value)}' for bar in bars)}. You are number {place}.",
        caption="Everybody removes as many weights as you did. Hatched: yours. Green, “update” in the name: these also change the weights that stay.",
    )
