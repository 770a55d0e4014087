"""The results of a run as numbers: its six key figures, the texts that it was evaluated on, and its
zero-shot tasks.
"""

from __future__ import annotations

import streamlit as st

from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.published import published
from engine.charts.headline import run_numbers
from engine.charts.tables import evaluation_table
from engine.charts.tasks import task_scores
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.literal import literal

CARD = 125
"""Least width of a figure, pixels."""
FORMATS = {
    "dense perplexity": "%.4g",
    "pruned perplexity": "%.4g",
    "ratio": "× %.3f",
    "dense bits per byte": "%.3f",
    "pruned bits per byte": "%.3f",
    "predicted tokens": "localized",
}


def draw_numbers(record: RunRecord, *, wide: bool = True) -> None:
    """Draw all numbers, the protocol of the perplexity, and the run's warnings.

    Args:
        wide: whether they have the width of the page to themselves.
    """
    with st.container(border=True):
        grid = st.grid(6 if wide else 3, min_column_width=CARD, gap="xsmall")
        # Unknown figures are drawn as a dash, so nothing moves when they arrive.
        for number in run_numbers(record):
            grid.metric(number.label, number.value, help=literal(number.protocol))
    if record.recipe and record.recipe.evaluation is None:
        st.caption(
            "No evaluation text was chosen, so there is no perplexity. The charts come from calibration."
        )
    elif record.protocol.evaluation is None:
        st.caption("Perplexity is measured after the last block.")
    else:
        st.caption(f"Perplexity: {literal(record.protocol.perplexity)}.")
    if words := narrow_calibration_of(record.recipe):
        st.caption(f":material/info: {words}")
    for sentence in record.recipe.method_sources if record.recipe else ():
        st.caption(f":material/extension: {literal(sentence)}")
    for figure in published(record):
        st.caption(f"{literal(figure.sentence)} [Source]({figure.source.link})")
    if record.sparsity.ties.words:
        st.caption(record.sparsity.ties.words)
    _draw_evaluations(record)
    for warning in record.warnings:
        st.warning(literal(warning), icon=":material/info:")


def _draw_evaluations(record: RunRecord) -> None:
    """Draw a line for one text or a table for several, and a chart of the tasks."""
    if len(record.evaluations) == 1:
        evaluation = record.evaluations[0]
        dense, pruned = evaluation.dense.bits_per_byte, evaluation.pruned.bits_per_byte
        if dense is not None and pruned is not None:
            st.caption(f"Bits per byte: {dense:.3f} dense, {pruned:.3f} pruned. {BITS}")
    elif record.evaluations:
        columns = {name: st.column_config.NumberColumn(format=form) for name, form in FORMATS.items()}
        st.dataframe(evaluation_table(record), hide_index=True, column_config=columns)
        st.caption(BITS)
    if record.tasks.dense:
        draw_chart(task_scores(record.tasks.dense, record.tasks.pruned), "tasks")


BITS = (
    "Bits per byte can be compared between models with different tokenizers; perplexity, which is per token, "
    "cannot."
)
