"""The drawings of lesson 4: two correlated inputs, the matrix under way, the updates against one another, and
what they are worth on new text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart, line_chart
from engine.lessons.survivors import CORRELATIONS, COUNTS, LEFT_ALONE, OWN, Weights
from engine.numbers import percent


def pair_curves(pairs: Mapping[str, Sequence[float]], correlation: float, *, updated: bool) -> Chart:
    """The error of removing one of two weights, without and, where that is to be seen, with an update of the
    other.
    """
    shown = {name: errors for name, errors in pairs.items() if updated or name == LEFT_ALONE}
    last = ", ".join(f"{name} {percent(errors[-1])}" for name, errors in shown.items())
    return line_chart(
        CORRELATIONS,
        shown,
        axes=("Correlation of the two inputs, ρ", "Output error, %"),
        title="One weight of two is gone",
        alt=f"Line chart of the output error against the correlation of two inputs. At {CORRELATIONS[-1]}: {last}.",
        caption=f"{LEFT_ALONE}: the other weight stays 1.{' Updated: it becomes what the joint solution makes of it.' if updated else ''}",
        at=correlation,
    )


def weights_matrix(weights: Weights, title: str, frames: str = "") -> Chart:
    """A matrix under way or done; `frames` says what they are, where there are any."""
    removed = sum(row.count(False) for row in weights.kept)
    return matrix_chart(
        Matrix(
            weights.values,
            weights.kept,
            decimals=2,
            marked=weights.moved,
            beside=Bars("error, %", [100 * each for each in weights.row_errors]),
        ),
        title=title,
        alt=f"Heat map of eight by eight weights, {removed} removed, {len(weights.moved)} framed. Output error {percent(weights.error)}.",
        caption=f"Crosses are removed weights. {frames}{' ' if frames else ''}Beside: each output's part of the error.",
    )


def update_errors(errors: Mapping[str, float], chosen: str = "") -> Chart:
    """The updates under one mask, the one that is drawn beside it hatched."""
    return bar_chart(
        [Bar(name, error, mine=name == chosen) for name, error in errors.items()],
        axis="Output error, %",
        title="One mask, three ways to treat the survivors",
        alt=f"Bar chart of output errors: {', '.join(f'{name} {percent(error)}' for name, error in errors.items())}.",
        caption=f"Over the 64 calibration tokens that the updates have seen.{' Hatched: the one that is drawn above.' if chosen else ''}",
    )


def fresh_curves(errors: Mapping[str, Sequence[float]], tokens: int) -> Chart:
    """What the updates are worth on tokens that they have not seen."""
    fewest = ", ".join(f"{name} {percent(values[0])}" for name, values in errors.items())
    return line_chart(
        COUNTS,
        errors,
        axes=("Calibration tokens", "Output error, %"),
        title="On new text",
        alt=f"Line chart of the output error against the number of calibration tokens. With {COUNTS[0]} of them: {fewest}.",
        caption=f"Measured on thousands of new tokens of the same kind; “{OWN}” is measured on the calibration tokens themselves. One mask for all.",
        at=tokens,
        log=True,
    )
