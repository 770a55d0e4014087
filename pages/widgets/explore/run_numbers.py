"""The results of a run as numbers: its six key figures, the texts that it was evaluated on, and its
zero-shot tasks.
"""

from __future__ import annotations

import streamlit as st

from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.published import published
from engine.charts.headline import run_numbers
from engine.charts.overlay.headline import compared_numbers
from engine.charts.overlay.pair import Pair, both_tables
from engine.charts.overlay.tasks import tasks_of_both
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


def load_ahead() -> None:
    """Have the browser load what draws a figure while the page is still being prepared; it shows nothing.

    Streamlit loads it with the first figure of a tab, and shows that only when nothing else is left to draw:
    after the form, or even after the charts. In the sidebar, because that opens with its first element, and
    would push the numbers aside if that were the form's.
    """
    # `STYLES` in `redraw.py` hides containers by this prefix of the key.
    with st.sidebar, st.container(key="unseen.ahead"):
        st.metric("", "")


def draw_numbers(record: RunRecord, second: RunRecord | None = None, *, wide: bool = True) -> None:
    """Draw all numbers, the protocol of the perplexity, and the run's warnings.

    Args:
        second: a run whose numbers, and the differences to them, are drawn below.
        wide: whether they have the width of the page to themselves.
    """
    pair = Pair(record, second) if second is not None else None
    with st.container(border=True):
        grid = st.grid(6 if wide else 3, min_column_width=CARD, gap="xsmall")
        found = run_numbers(record)
        lines = compared_numbers(pair) if pair else [""] * len(found)
        # Unknown figures are drawn as a dash, so nothing moves when they arrive.
        for number, line in zip(found, lines, strict=True):
            grid.metric(
                number.label,
                number.value,
                line or None,
                delta_color="off",
                delta_arrow="off",  # whether more is better depends on the figure
                help=literal(number.protocol),
            )
        if pair:
            first, other = map(literal, pair.names)
            st.caption(
                f"Second line: {first} minus {other}, shares in percentage points; in parentheses the value "
                f"of {other}."
            )
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
    _draw_evaluations(record, pair)
    for warning in record.warnings:
        st.warning(literal(warning), icon=":material/info:")


def _draw_evaluations(record: RunRecord, pair: Pair | None) -> None:
    """Draw a line for one text or a table for several, and a chart of the tasks; of both runs of a pair."""
    if len(record.evaluations) == 1:
        evaluation = record.evaluations[0]
        dense, pruned = evaluation.dense.bits_per_byte, evaluation.pruned.bits_per_byte
        if dense is not None and pruned is not None:
            st.caption(f"Bits per byte: {dense:.3f} dense, {pruned:.3f} pruned{_other_bits(pair)}. {BITS}")
    elif record.evaluations:
        columns = {name: st.column_config.NumberColumn(format=form) for name, form in FORMATS.items()}
        table = both_tables(pair, *map(evaluation_table, pair.runs)) if pair else evaluation_table(record)
        st.dataframe(table, hide_index=True, column_config=columns)
        st.caption(BITS)
    if record.tasks.dense:
        draw_chart(
            tasks_of_both(pair) if pair else task_scores(record.tasks.dense, record.tasks.pruned), "tasks"
        )


def _other_bits(pair: Pair | None) -> str:
    score = pair.second.pruned if pair else None
    if pair is None or score is None or score.bits_per_byte is None:
        return ""
    return f"; {score.bits_per_byte:.3f} for {literal(pair.names[1])}"


BITS = (
    "Bits per byte can be compared between models with different tokenizers; perplexity, which is per token, "
    "cannot."
)
