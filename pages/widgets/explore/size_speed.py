"""The size and speed card of a finished run: measured on request, for it takes seconds of the machine that
computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.size_speed import latencies, model_sizes, why_zeros_save_nothing
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.analysis.size_speed import Measurement
    from engine.jobs.service import BackgroundEngine

POLL = 0.5
PLACE = 330  # pixels that a chart will take, about


def draw_size_speed(engine: BackgroundEngine, record: RunRecord) -> None:
    """A button, then the figures as soon as they are there."""
    key = str(record.key)
    st.subheader("Size and speed", anchor=False)
    if record.model is not None and record.model.residence == "streamed":
        st.caption(STREAMED)
        return
    wanted = st.session_state.setdefault("measuring", set())
    if key not in wanted:
        st.button(
            "Measure size and speed", key="measure", icon=":material/speed:", on_click=wanted.add, args=(key,)
        )
        st.caption(COST)
        return
    pending = engine.measure(key).pending
    st.fragment(_draw, run_every=POLL if pending else None)(engine, key, pending)


def _draw(engine: BackgroundEngine, key: str, was_pending: bool) -> None:
    answer = engine.measure(key)
    if answer.failed:
        st.error(answer.message, icon=":material/error:")
        st.button(
            "Try again",
            key="measure_again",
            icon=":material/refresh:",
            on_click=st.session_state["measuring"].discard,
            args=(key,),
        )
    else:
        _draw_measurement(answer.value)
    if (was_pending and not answer.pending) or key not in st.session_state["measuring"]:
        redraw_page("size_speed")


def _draw_measurement(measurement: Measurement | None) -> None:
    grid = st.grid(2, min_column_width=400, border=True)
    if measurement is None:
        for _ in range(2):
            with grid.cell():
                st.skeleton(height=PLACE)
        st.caption(PENDING)
        return
    for chart, name in (
        (model_sizes(measurement.size), "sizes"),
        (latencies(measurement), "latencies"),
    ):
        with grid.cell():
            draw_chart(chart, name)
    st.markdown(why_zeros_save_nothing(measurement))


COST = (
    "Counts what the model takes in each format, zips it, and times it dense and pruned on the machine that computes. "
    "A small model takes a few seconds, a large one minutes; the times are best taken while no run goes on."
)
STREAMED = (
    "Not measured: this run read its model block by block from the disk, and for the times the whole model and its prunable weights a second time "
    "have to be in memory at once."
)
PENDING = "The model is being zipped and timed, dense and pruned in turns."
