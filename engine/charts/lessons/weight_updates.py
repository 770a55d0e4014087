"""Charts of lesson 4: two correlated inputs, the matrix during the update, a comparison of the updates, and
their errors on new text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart, line_chart
from engine.lessons.weight_updates import CORRELATIONS, COUNTS, ON_CALIBRATION, UNCHANGED, Weights
from engine.numbers import percent


def pair_curves(pairs: Mapping[str, Sequence[float]], correlation: float, *, updated: bool) -> Chart:
    """Plot the error of removing one of two weights against the correlation of their inputs.

    Args:
        pairs: the errors by name.
        correlation: the correlation to mark.
        updated: whether to show the error with an update; it would give the answer away.
    """
    shown = {name: errors for name, errors in pairs.items() if updated or name == UNCHANGED}
    last = ", ".join(f"{name} {percent(errors[-1])}" for name, errors in shown.items())
    return line_chart(
        CORRELATIONS,
        shown,
        axes=("Correlation of the two inputs, ρ", "Output error, %"),
        title="One of two weights is removed",
        alt="Line chart of the output error against the correlation of two inputs. "
        f"At {CORRELATIONS[-1]}: {last}.",
        caption=f"{UNCHANGED}: the other weight stays 1."
        f"{' Updated: the other weight is set by the joint solution.' if updated else ''}",
        at=correlation,
    )


def weights_matrix(weights: Weights, title: str, frames: str = "") -> Chart:
    """Plot a matrix during or after an update; `frames` explains the frames, if there are any."""
    removed = sum(row.count(False) for row in weights.kept)
    return matrix_chart(
        Matrix(
            weights.values,
            weights.kept,
            decimals=2,
            marked=weights.moved,
            right=Bars("error, %", [100 * each for each in weights.row_errors]),
        ),
        title=title,
        alt=f"Heat map of eight by eight weights, {removed} removed, {len(weights.moved)} framed. "
        f"Output error {percent(weights.error)}.",
        caption=f"Crosses mark removed weights. {frames}{' ' if frames else ''}Right: the part of the error "
        "in each output.",
    )


def update_errors(errors: Mapping[str, float], chosen: str = "") -> Chart:
    """Plot the errors of the updates under one mask; the chosen update is hatched."""
    return bar_chart(
        [Bar(name, error, highlighted=name == chosen) for name, error in errors.items()],
        axis="Output error, %",
        title="One mask, three weight updates",
        alt="Bar chart of output errors: "
        f"{', '.join(f'{name} {percent(error)}' for name, error in errors.items())}.",
        caption="Over the 64 calibration tokens that the updates use."
        f"{' Hatched: the update shown above.' if chosen else ''}",
    )


def fresh_curves(errors: Mapping[str, Sequence[float]], tokens: int) -> Chart:
    """Plot the errors of the updates on new tokens against the number of calibration tokens."""
    fewest = ", ".join(f"{name} {percent(values[0])}" for name, values in errors.items())
    return line_chart(
        COUNTS,
        errors,
        axes=("Calibration tokens", "Output error, %"),
        title="Output error on new text",
        alt="Line chart of the output error against the number of calibration tokens. "
        f"With {COUNTS[0]} tokens: {fewest}.",
        caption="Measured on thousands of new tokens of the same distribution; "
        f"“{ON_CALIBRATION}” is measured on the calibration tokens themselves. All use the same mask.",
        at=tokens,
        log=True,  # the counts grow by factors
    )
