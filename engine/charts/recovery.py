"""How much of each block's error an update takes back: with the mask alone, and with the weights that stay adjusted."""

from __future__ import annotations

from engine.charts.before_after import error_figure, pairs, summary
from engine.charts.chart import Chart
from engine.record import RunRecord

NAMES = ("mask alone", "after the update")


def error_taken_back(record: RunRecord) -> Chart:
    """Output error of each block's linears before and after the update."""
    table = pairs(record, lambda linear: linear.error_before_update, lambda linear: linear.output_error)
    words = summary(record, table, "The update")
    return Chart(
        title="What the update took back",
        figure=error_figure(record, table, NAMES, "Taken back"),
        table=table.rename(columns={"before": "mask_alone", "after": "updated", "less": "taken_back"}),
        alt=f"Dumbbells of the output error by block, with the mask alone and after the update, and bars of the share taken back. {words}",
        caption=f"{words} Relative error of the linears' outputs, a block's mean weighted by size. The mask is the same in both; "
        "the update adjusts the weights that stay.",
    )
