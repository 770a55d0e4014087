"""The size and speed of a finished run's model, measured on request: measuring keeps the machine busy for
seconds to minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.size_speed import latencies, model_sizes, why_zeros_save_nothing
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.live import draw_turn, live, show_error

if TYPE_CHECKING:
    from engine.analysis.size_speed import Measurement
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine

HEIGHT = 330
"""Height of the placeholder of a chart, pixels."""


def draw_size_speed(engine: BackgroundEngine, record: RunRecord) -> None:
    """Draw a button, then the charts when the measurement is done."""
    key = str(record.key)
    st.subheader("Size and speed", anchor=False)
    if record.model is not None and record.model.residence == "streamed":
        st.caption(STREAMED)
        return
    requested = st.session_state.setdefault("measuring", set())
    if key not in requested:
        st.button(
            "Measure size and speed",
            key="measure",
            icon=":material/speed:",
            on_click=requested.add,
            args=(key,),
        )
        st.caption(COST)
        return
    live(
        "size_speed",
        lambda: engine.measure(key),
        lambda answer: _draw_answer(answer, key),
        # 2 after "Try again": the page follows, with the button above
        left=lambda answer: answer.pending + 2 * (key not in requested),
    )


def _draw_answer(answer: Answer[Measurement], key: str) -> None:
    if answer.value is not None:
        _draw_measurement(answer.value)
    elif answer.pending:
        grid = st.grid(2, min_column_width=400, border=True)
        for _ in range(2):
            with grid.cell():
                st.skeleton(height=HEIGHT)
        st.caption("Compressing the model, and timing it dense and pruned in turn.")
        draw_turn([answer])
    else:
        show_error(answer.message)
        st.button(
            "Try again",
            key="measure_again",
            icon=":material/refresh:",
            on_click=st.session_state["measuring"].discard,  # so that the page offers the measurement again
            args=(key,),
        )


def _draw_measurement(measurement: Measurement) -> None:
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        draw_chart(model_sizes(measurement.size), "sizes")
    with grid.cell():
        draw_chart(latencies(measurement), "latencies")
    st.markdown(why_zeros_save_nothing(measurement))


COST = (
    "Measures the model's size in each format and compressed as zip, and times the dense and the pruned "
    "model on the machine that computes. It takes a few seconds for a small model, minutes for a large one. "
    "Times are most accurate while no run is active."
)
STREAMED = (
    "Not available: this run read its model block by block from disk. Timing needs the whole model and a "
    "second copy of its prunable weights in memory."
)
