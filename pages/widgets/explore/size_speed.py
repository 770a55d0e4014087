"""The size and speed of a finished run's model, measured on request: measuring keeps the machine busy for
seconds to minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.overlay.pair import Pair
from engine.charts.overlay.size_speed import latencies_of_both, sizes_of_both
from engine.charts.size_speed import latencies, model_sizes, why_zeros_save_nothing
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.literal import literal
from pages.widgets.live import draw_turn, live, show_error

if TYPE_CHECKING:
    from engine.analysis.size_speed import Measurement
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView

HEIGHT = 330
"""Height of the placeholder of a chart, pixels."""


def draw_size_speed(engine: BackgroundEngine, record: RunRecord, second: RunView | None = None) -> None:
    """Draw a button, then the charts when the measurement is done.

    Args:
        second: the run that this one is compared with, if any; it is measured and drawn, too.
    """
    key = str(record.key)
    st.subheader("Size and speed", anchor=False)
    if _is_streamed(record):
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
    records = [record, *_measurable(second, key)]
    live(
        "size_speed",
        lambda: _measure(engine, records),
        lambda answers: _draw_answers(answers, records),
        # 4 after "Try again": the page follows, with the button above
        left=lambda answers: sum(answer.pending for answer in answers) + 4 * (key not in requested),
    )


def _measure(engine: BackgroundEngine, records: Sequence[RunRecord]) -> list[Answer[Measurement]]:
    """Return the measurements so far, asking for one after the other: together they would slow each other."""
    answers: list[Answer[Measurement]] = []
    for record in records:
        waits = any(answer.pending for answer in answers)
        answers.append(answers[-1] if waits else engine.measure(str(record.key)))
    return answers


def _measurable(second: RunView | None, key: str) -> list[RunRecord]:
    """Return the second run's record if its model can be measured; otherwise say why not."""
    if second is None or second.record.key == key:
        return []
    if second.state == "finished" and second.has_weights and not _is_streamed(second.record):
        return [second.record]
    title = literal(second.record.title)
    st.caption(f"Not compared: the weights of {title} are not here, or too large for the memory.")
    return []


def _is_streamed(record: RunRecord) -> bool:
    return record.model is not None and record.model.residence == "streamed"


def _draw_answers(answers: Sequence[Answer[Measurement]], records: Sequence[RunRecord]) -> None:
    values = [answer.value for answer in answers if answer.value is not None]
    if failed := next((answer for answer in answers if answer.failed), None):
        show_error(failed.message)
        st.button(
            "Try again",
            key="measure_again",
            icon=":material/refresh:",
            on_click=st.session_state["measuring"].discard,  # so that the page offers the measurement again
            args=(str(records[0].key),),
        )
    elif len(values) < len(answers):
        grid = st.grid(2, min_column_width=400, border=True)
        for _ in range(2):
            with grid.cell():
                st.skeleton(height=HEIGHT)
        st.caption("Compressing the model, and timing it dense and pruned in turn.")
        draw_turn(answers)
    else:
        _draw_measurements(values, records)


def _draw_measurements(values: Sequence[Measurement], records: Sequence[RunRecord]) -> None:
    first = values[0]
    sizes, times = model_sizes(first.size), latencies(first)
    if len(values) > 1:
        pair = Pair(records[0], records[1])
        sizes = sizes_of_both(pair, (first.size, values[1].size))
        times = latencies_of_both(pair, (first, values[1]))
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        draw_chart(sizes, "sizes")
    with grid.cell():
        draw_chart(times, "latencies")
    st.markdown(why_zeros_save_nothing(first))


COST = (
    "Measures the model's size in each format and compressed as zip, and times the dense and the pruned "
    "model on the machine that computes. It takes a few seconds for a small model, minutes for a large one. "
    "Times are most accurate while no run is active."
)
STREAMED = (
    "Not available: this run read its model block by block from disk. Timing needs the whole model and a "
    "second copy of its prunable weights in memory."
)
