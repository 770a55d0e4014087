"""What a run measured beyond its six numbers: several texts, bits per byte, and the zero-shot tasks, dense
and pruned side by side.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.tables import evaluation_table
from engine.charts.tasks import task_scores
from engine.record import RunRecord
from pages.widgets.chart import draw_chart

FORMATS = {
    "dense perplexity": "%.4g",
    "pruned perplexity": "%.4g",
    "ratio": "× %.3f",
    "dense bits per byte": "%.3f",
    "pruned bits per byte": "%.3f",
    "predicted tokens": "localized",
}


def draw_evaluations(record: RunRecord) -> None:
    """A table of several texts, a line for one; the tasks as a chart."""
    if len(record.evaluations) == 1:
        bits = [score.bits_per_byte for score in (record.evaluations[0].dense, record.evaluations[0].pruned)]
        if None not in bits:
            st.caption(f"Bits per byte of that text: {bits[0]:.3f} dense, {bits[1]:.3f} pruned. They {BITS}")
    elif record.evaluations:
        columns = {name: st.column_config.NumberColumn(format=form) for name, form in FORMATS.items()}
        st.dataframe(evaluation_table(record), hide_index=True, column_config=columns)
        st.caption(f"Bits per byte {BITS}")
    if record.tasks.dense:
        draw_chart(task_scores(record.tasks.dense, record.tasks.pruned), "tasks")


BITS = "can be compared between models with different tokenizers; perplexity, which is per token, cannot."
