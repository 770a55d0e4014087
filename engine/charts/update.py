"""What a weight update did: each block's error with the mask alone, and with the kept weights updated."""

from __future__ import annotations

from functools import partial

from engine.analysis.changes import update_changes
from engine.analysis.explanations import corrections
from engine.charts.chart import Chart
from engine.charts.dumbbells import change_table, error_figure, summary
from engine.record import RunRecord

NAMES = ("mask alone", "after the update")


def error_recovered(record: RunRecord) -> Chart:
    """Return the output error of each block's linears before and after the update."""
    table = change_table(update_changes(record))
    words = summary(record, table, "The update")
    return Chart(
        title="Output error before and after the weight update",
        figure=error_figure(record, table, NAMES, "Error removed"),
        table=table.rename(columns={"before": "mask_alone", "after": "updated", "less": "error_removed"}),
        alt="Dumbbells of the output error per block, with the mask alone and after the update, and bars of "
        f"the share removed. {words}",
        caption=f"{words} Relative error of the linears' outputs; a block's value is their mean, weighted by "
        "size. The mask is the same in both; the update adjusts the kept weights.",
        explain=partial(corrections.update, record),
    )
