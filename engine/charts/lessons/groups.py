"""The drawings of lesson 3: the matrix within each freedom, and what the freedoms keep and cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import Bar, bar_chart
from engine.lessons.groups import LAYER, QUIET, ROW, Masked, Price
from engine.numbers import percent, power_of_ten

WITHIN = {LAYER: "the whole layer", ROW: "each row"}


def plain_matrix(masked: Masked, group: int = 0) -> Chart:
    """The weights before anything is removed."""
    sizes = [sum(map(abs, row)) / len(row) for row in masked.weights]
    return matrix_chart(
        Matrix(masked.weights, beside=Bars("mean |w|", sizes), group=group),
        title="The weights",
        alt=f"Heat map of six by sixteen weights. The weights of row y{QUIET + 1} are small: {sizes[QUIET]:.2g} in the mean.",
        caption="Beside: the mean size of each row's weights.",
    )


def grouped_matrix(masked: Masked, freedom: str, group: int = 0) -> Chart:
    """What is removed where these groups compete."""
    lost = ", ".join(f"y{row + 1} {percent(share, 0)}" for row, share in enumerate(masked.row_shares))
    frames = " Frames: a comparison within the row would keep these." if masked.forced else ""
    return matrix_chart(
        Matrix(
            masked.weights,
            masked.kept,
            marked=masked.forced,
            group=group,
            beside=Bars("removed, %", [100 * share for share in masked.row_shares]),
        ),
        title=f"What goes within {WITHIN.get(freedom, f'the groups of {freedom}')}",
        alt=f"Heat map of the weights with what is removed, by row: {lost}. {len(masked.forced)} of them only because of their group.",
        caption=f"Crosses are removed weights. Beside: how much each row has lost.{frames}",
    )


def kept_scores(prices: Sequence[Price]) -> Chart:
    """How much of all scores each freedom keeps."""
    return bar_chart(
        [
            Bar(f"{price.freedom}, {power_of_ten(round(price.digits))} masks", price.kept_score)
            for price in prices
        ],
        axis="Share of all scores that stays, %",
        title="What the score keeps",
        alt=f"Bar chart of the share of the scores that stays: {_told((price.freedom, price.kept_score) for price in prices)}.",
        caption="Half of the weights are gone in each. A narrower freedom has fewer masks, and all of them are among those of the wider one.",
    )


def output_errors(prices: Sequence[Price]) -> Chart:
    """What each freedom costs."""
    return bar_chart(
        [Bar(price.freedom, price.error, other=True) for price in prices],
        axis="Output error, %",
        title="What the output loses",
        alt=f"Bar chart of output errors: {_told((price.freedom, price.error) for price in prices)}.",
        caption="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens of calibration input.",
    )


def _told(shares: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in shares)
