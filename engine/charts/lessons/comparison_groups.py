"""Charts of lesson 3: the matrix pruned within each grouping, and what the groupings keep and cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart
from engine.lessons.comparison_groups import LAYER, ROW, WEAK_ROW, Masked, Price
from engine.numbers import percent, power_of_ten

WITHIN = {LAYER: "within the whole layer", ROW: "within each row"}


def plain_matrix(masked: Masked, group: int = 0) -> Chart:
    """Plot the weights before pruning, with a line between groups of this many columns."""
    sizes = [sum(map(abs, row)) / len(row) for row in masked.weights]
    return matrix_chart(
        Matrix(masked.weights, right=Bars("mean |w|", sizes), group=group),
        title="The weights",
        alt=f"Heat map of six by sixteen weights. The weights of row y{WEAK_ROW + 1} are small: "
        f"their mean size is {sizes[WEAK_ROW]:.2g}.",
        caption="Right: the mean size of the weights in each row.",
    )


def grouped_matrix(masked: Masked, grouping: str, group: int = 0) -> Chart:
    """Plot the weights that are removed within this grouping."""
    rows = ", ".join(f"y{row + 1} {percent(share, 0)}" for row, share in enumerate(masked.row_shares))
    frames = " Frames: removed only because of the pattern." if masked.forced else ""
    return matrix_chart(
        Matrix(
            masked.weights,
            masked.kept,
            marked=masked.forced,
            group=group,
            right=Bars("removed, %", [100 * share for share in masked.row_shares]),
        ),
        title=f"Weights removed {WITHIN.get(grouping, f'by {grouping}')}",
        alt=f"Heat map of the weights and of what is removed, per row: {rows}. "
        f"{len(masked.forced)} weights are removed only because of the pattern.",
        caption=f"Crosses mark removed weights. Right: the removed share of each row.{frames}",
    )


def kept_scores(prices: Sequence[Price]) -> Chart:
    """Plot the share of all scores that each grouping keeps."""
    bars = [
        # digits: log10 of the number of masks
        Bar(f"{price.grouping}, {power_of_ten(round(price.digits))} masks", price.kept_score)
        for price in prices
    ]
    return bar_chart(
        bars,
        axis="Kept share of the sum of all scores, %",
        title="Score kept",
        alt="Bar chart of the kept share of the scores: "
        f"{_joined((p.grouping, p.kept_score) for p in prices)}.",
        caption="Each removes half of the weights. A narrower group allows fewer masks, all of which are "
        "also masks of the wider one.",
    )


def output_errors(prices: Sequence[Price]) -> Chart:
    """Plot the output error of each grouping."""
    return bar_chart(
        [Bar(price.grouping, price.error, second_kind=True) for price in prices],
        axis="Output error, %",
        title="Output error",
        alt=f"Bar chart of output errors: {_joined((p.grouping, p.error) for p in prices)}.",
        caption="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens of calibration input.",
    )


def _joined(shares: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in shares)
