"""A run as it stands: its state, its numbers, its charts. The same code shows it while it grows and when it is done.

While it is going on, the bar is drawn again twice a second and the charts about once, for each drawing takes the browser a tenth of a second that the
run would have; when it ends, the whole page is, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.charts.chart import Chart
from engine.charts.coverage import coverage_bar
from engine.charts.depth import alignment_bars, error_through_depth
from engine.charts.grids import output_error_grid, sparsity_grid
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets import session
from pages.widgets.chart import draw_chart
from pages.widgets.number import draw_numbers

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

POLL, CHARTS_POLL = 0.4, 1.2
NARROW = 14
"""Up to this many blocks a heat map is readable in half the page's width."""

BADGES = {
    "queued": ("waiting", ":material/hourglass_top:", "gray"),
    "running": ("running", ":material/play_arrow:", "blue"),
    "finished": ("finished", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("cancelled", ":material/stop:", "orange"),
    "interrupted": ("interrupted", ":material/bolt:", "orange"),
}


def draw_run(engine: BackgroundEngine, key: str) -> RunView | None:
    """Draw a run and keep it up to date. None where there is no such run (a sentence says so)."""
    view = _look(engine, key)
    if view is not None:
        st.fragment(_draw, run_every=POLL if view.active else None)(engine, key, view.active)
        st.fragment(_draw_charts, run_every=CHARTS_POLL if view.active else None)(engine, key)
    return view


def _look(engine: BackgroundEngine, key: str) -> RunView | None:
    try:
        return engine.view(key)
    except PrunescopeError as error:
        st.error(str(error), icon=":material/link_off:")
        return None


def _draw(engine: BackgroundEngine, key: str, was_active: bool) -> None:
    view = _look(engine, key)
    if view is None:
        return
    if was_active != view.active or session.run_key() != key:  # it ended, or was tried again: the rest of the page follows
        st.rerun()
    _draw_head(view)
    _draw_state(engine, key, view)
    draw_numbers(view.record)
    st.caption(_protocol(view.record))
    for warning in view.record.warnings:
        st.warning(warning, icon=":material/info:")


def _draw_head(view: RunView) -> None:
    name, icon, colour = BADGES[view.state]
    title = view.record.recipe.title if view.record.recipe else "This run"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, width="content")
        st.badge(name, icon=icon, color=colour)  # type: ignore[arg-type]


def _draw_state(engine: BackgroundEngine, key: str, view: RunView) -> None:
    """Where the run stands, and the one thing that can be done about it."""
    record = view.record
    if view.active:
        bar, button = st.columns([5, 1], vertical_alignment="bottom")
        bar.progress(_share(view), text=_progress_words(view))
        button.button("Cancel", key="cancel", icon=":material/stop:", width="stretch", on_click=session.cancel, args=(engine, key))
    elif view.state == "finished":
        st.progress(1.0, text=f"All {len(record.blocks)} blocks done in {numbers.seconds(record.elapsed)}")
    elif view.state == "failed":
        st.error(record.error or view.message, icon=":material/error:")
    elif view.state == "interrupted":
        st.warning(f"{record.error or view.message} {_left_over(record)}", icon=":material/bolt:")
    elif view.state == "cancelled":
        st.warning(f"This run was cancelled. {_left_over(record)}", icon=":material/stop:")
    if view.state in ("failed", "interrupted", "cancelled") and record.recipe:
        st.button("Try again", key="again", icon=":material/refresh:", on_click=session.try_again, args=(engine, record.recipe))


def _share(view: RunView) -> float:
    """How full the bar is: the blocks are nearly all of the work, the measurement at the end the rest."""
    return 0.0 if view.state == "queued" else min(1.0, 0.02 + 0.94 * view.record.progress)


def _progress_words(view: RunView) -> str:
    record = view.record
    if view.state == "queued":
        turn = "next in the queue" if view.place in (None, 1) else f"place {view.place} in the queue"
        return f"Waiting for its turn: {turn}. {view.message if view.place in (None, 1) else ''}"
    if record.model is None:
        return "Loading the model"
    if not record.allocation:
        return "Cutting windows of text"
    done, total = len(record.blocks), record.model.blocks
    if done == total:
        return f"Block {total} of {total} done · measuring perplexity"
    left = f" · about {numbers.seconds(record.remaining)} left" if record.remaining is not None else ""
    return f"Block {done + 1} of {total}{left}"


def _left_over(record: RunRecord) -> str:
    total = record.model.blocks if record.model else 0
    return f"{len(record.blocks)} of {total} blocks were done; they are shown below." if record.blocks else "No block was done yet."


def _protocol(record: RunRecord) -> str:
    if record.recipe and record.recipe.evaluation is None:
        return "Perplexity was not asked for. The charts show what calibration alone can tell."
    if record.protocol.evaluation is None:
        return "Perplexity comes when the last block is done."
    return f"Perplexity: {record.protocol.perplexity}."


def _draw_charts(engine: BackgroundEngine, key: str) -> None:
    view = _look(engine, key)
    if view is None or view.record.model is None:
        return
    record = view.record
    for (name, chart), cell in zip(_charts(record).items(), _cells(record), strict=True):
        with cell:
            draw_chart(chart, name)


def _cells(record: RunRecord) -> list[st.delta_generator.DeltaGenerator]:
    wide = record.model is not None and record.model.blocks > NARROW
    grid = st.grid(2, min_column_width=400, border=True)
    spans = ["all" if wide else 1, "all" if wide else 1, 1, 1, *(["all"] if record.state != "running" else [])]
    return [grid.cell(column_span=span) for span in spans]  # type: ignore[arg-type]


def _charts(record: RunRecord) -> dict[str, Chart]:
    """The charts, drawn anew only when the run has moved on since this tab last drew them."""
    stage = (record.key, record.state, len(record.blocks), record.protocol.evaluation is None)
    if st.session_state.get("charts", (None,))[0] != stage:
        charts = {
            "sparsity": sparsity_grid(record),
            "output_error": output_error_grid(record),
            "alignment": alignment_bars(record),
            "depth": error_through_depth(record),
        }
        if record.state != "running":  # what was removed in all is known at the end
            charts["coverage"] = coverage_bar(record)
        st.session_state["charts"] = (stage, charts)
    drawn: dict[str, Chart] = st.session_state["charts"][1]
    return drawn
