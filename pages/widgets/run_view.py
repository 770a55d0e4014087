"""A run as it stands: its state, its numbers, its charts. The same code shows it while it grows and when it is done.

While it is going on, the bar is drawn again twice a second and the charts about once, for each drawing takes the browser a tenth of a second that the
run would have; when it ends, the whole page is, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.charts.allocation import measure
from engine.charts.search import best_candidate
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets import session
from pages.widgets.number import draw_numbers
from pages.widgets.run_charts import draw_charts, is_deciding

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

POLL, CHARTS_POLL = 0.4, 1.2
SEARCH, MEASUREMENT = 0.5, 0.1
"""Share of the bar that a long search nears, and that measuring all blocks takes; the blocks get what is left."""
HALFWAY = 12
"""Candidates after which a search has half of its share: how many will come is not known."""

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
    """How full the bar is: what decides about the blocks, then the blocks, and a little for the measurement at the end. It never goes back."""
    if view.state == "queued":
        return 0.0
    record, decided = view.record, 0.0
    if record.search:
        decided = SEARCH * len(record.search) / (len(record.search) + HALFWAY)
    elif record.measured and record.model:
        decided = MEASUREMENT * len(record.measured) / record.model.blocks
    return min(1.0, 0.02 + decided + (0.94 - decided) * record.progress)


def _progress_words(view: RunView) -> str:
    record = view.record
    if view.state == "queued":
        turn = "next in the queue" if view.place in (None, 1) else f"place {view.place} in the queue"
        return f"Waiting for its turn: {turn}. {view.message if view.place in (None, 1) else ''}"
    if record.model is None:
        return "Loading the model"
    if record.protocol.calibration is None or (record.protocol.evaluation is None and record.recipe and record.recipe.evaluation):
        return "Cutting windows of text"
    if is_deciding(record):
        return _deciding_words(record, record.model.blocks)
    done, total = len(record.blocks), record.model.blocks
    if done == total:
        return f"Block {total} of {total} done · measuring perplexity"
    left = f" · about {numbers.seconds(record.remaining)} left" if record.remaining is not None else ""
    return f"Block {done + 1} of {total}{left}"


def _deciding_words(record: RunRecord, total: int) -> str:
    """What is tried or measured before the first block is pruned."""
    if not record.search:
        quantity, done = measure(record), len(record.measured)
        return f"Measuring block {min(done + 1, total)} of {total}: {quantity}" if quantity else "Searching: uniform, the reference"
    step, best = record.search[-1].step, best_candidate(record)
    if step == "uniform":
        return "Searching: first candidates"
    tried = sum(candidate.step == step for candidate in record.search)
    if best is not None and best.chosen:
        return f"Searching: {step} step done, {tried} candidates · λ = {best.strength:g} chosen"
    return f"Searching: {step} step, candidate {tried} done" + (f" · best so far λ = {best.strength:g}" if best else "")


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
    draw_charts(view.record)
