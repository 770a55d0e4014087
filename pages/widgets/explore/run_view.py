"""A run as it stands: its state, its numbers, its charts. The same code shows it while it grows, when it is
done, and when it is watched again.

While it is going on, the bar is drawn again twice a second and the charts about once, for each drawing takes
the browser a tenth of a second that the run would have; when it ends, the whole page is, once.

A number with its protocol: what it means and what it was measured on, under the question mark beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.headline import run_numbers
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets.explore import replay, session
from pages.widgets.explore.evaluations import draw_evaluations
from pages.widgets.explore.prompt import ask_ahead
from pages.widgets.explore.replay import Playing
from pages.widgets.explore.run_charts import chart_titles, draw_charts
from pages.widgets.live import redraw_page
from pages.widgets.present.presenter import is_presenting
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


CARD = 125
"""Least width of a number, pixels."""


def draw_numbers(record: RunRecord) -> None:
    """The six numbers of a run; those that are not known yet are a dash, so nothing moves when they come."""
    with st.container(border=True):
        grid = st.grid(6, min_column_width=CARD, gap="xsmall")
        for number in run_numbers(record):
            grid.metric(number.label, number.value, help=number.protocol)


POLL, CHARTS_POLL = 0.4, 1.2
WITH_NUMBERS = (session.EVERYTHING, session.NUMBERS)
"""The parts of a run that show its numbers; a chart alone stands without them."""
BADGES = {
    "queued": ("waiting", ":material/hourglass_top:", "gray"),
    "running": ("running", ":material/play_arrow:", "blue"),
    "finished": ("finished", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("cancelled", ":material/stop:", "orange"),
    "interrupted": ("interrupted", ":material/bolt:", "orange"),
}

IMPORTED = "It was computed elsewhere, and its numbers were taken in on Runs."
RECORDED = "It came with Prunescope: computed before, by the command that is shown below, on another machine."


def draw_run(engine: BackgroundEngine, key: str) -> RunView | None:
    """Draw a run and keep it up to date. None where there is no such run (a sentence says so)."""
    view = _look(engine, key)
    if view is None:
        return None
    with st.container():
        _choose_focus(view)
    playing = replay.current(key)
    if playing is not None:
        ticks = playing.since is not None
        st.fragment(_draw_replay, run_every=replay.TICK if ticks else None)(playing, ticks)
        return replay.view(playing) if playing.now < len(playing.replay) else view
    st.fragment(_draw, run_every=POLL if view.active else None)(engine, key, view.active)
    st.fragment(_draw_charts, run_every=CHARTS_POLL if view.active else None)(engine, key)
    return view


def _choose_focus(view: RunView) -> None:
    """Which part of an ended run is shown: for a talk, one idea a screen. A part that this run does not have
    is everything.
    """
    parts = {} if view.active or view.record.model is None else chart_titles(view.record)
    if session.focus() not in (session.EVERYTHING, session.NUMBERS, *parts):
        st.session_state[session.FOCUS] = session.EVERYTHING
    if not parts or is_presenting():
        return
    titles = {session.EVERYTHING: "Everything", session.NUMBERS: "The numbers alone", **parts}
    st.selectbox(
        "Show", list(titles), format_func=titles.get, key=session.FOCUS, persist_state="session", width=320
    )


def _draw_replay(playing: Playing, ticks: bool) -> None:
    """The run as it was at the moment that the replay is at, by the same drawing; `ticks`: whether the page
    has this drawn again by itself.
    """
    view = replay.view(playing)
    _draw_head(view, replayed=True)
    replay.draw_player(playing)
    if session.focus() in WITH_NUMBERS:
        _draw_numbers(view)
    if view.record.model is not None:
        draw_charts(view.record, session.focus())
    if (
        ticks != (playing.since is not None) or replay.current(playing.key) is None
    ):  # it began to play, paused, ended, or was closed
        redraw_page("run.replay")


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
    _draw_head(view)
    if view.state != "finished" or not is_presenting():
        _draw_state(engine, key, view)
    if session.focus() in WITH_NUMBERS:
        _draw_numbers(view)
    if (
        was_active != view.active or session.run_key() != key
    ):  # it ended, or was tried again: the rest of the page follows
        if view.state == "finished" and view.has_weights and session.focus() == session.EVERYTHING:
            ask_ahead(engine, key)
        redraw_page("run")


def _draw_numbers(view: RunView) -> None:
    draw_numbers(view.record)
    st.caption(_protocol(view.record))
    draw_evaluations(view.record)
    for warning in view.record.warnings:
        st.warning(warning, icon=":material/info:")


def _draw_head(view: RunView, *, replayed: bool = False) -> None:
    name, icon, colour = BADGES[view.state]
    title = view.record.recipe.title if view.record.recipe else "This run"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, width="content")
        if replayed:
            st.badge("replay", icon=":material/replay:", color="violet")
        else:
            st.badge(name, icon=icon, color=colour)  # type: ignore[arg-type]
        if view.recorded:
            st.badge("recorded", icon=":material/inventory_2:", color="gray", help=RECORDED)
        if view.imported:
            st.badge("imported", icon=":material/upload_file:", color="gray", help=IMPORTED)


def _draw_state(engine: BackgroundEngine, key: str, view: RunView) -> None:
    """Where the run stands, and the one thing that can be done about it."""
    record = view.record
    if view.active:
        bar, button = st.columns([5, 1], vertical_alignment="bottom")
        bar.progress(share(view), text=progress_words(view))
        button.button(
            "Cancel",
            key="cancel",
            icon=":material/stop:",
            width="stretch",
            on_click=session.cancel,
            args=(engine, key),
        )
    elif view.state == "finished":
        bar, button = st.columns([5, 1], vertical_alignment="bottom")
        bar.progress(1.0, text=f"All {len(record.blocks)} blocks done in {numbers.seconds(record.elapsed)}")
        button.button(
            "Replay",
            key="replay.begin",
            icon=":material/replay:",
            width="stretch",
            on_click=replay.begin,
            args=(engine, key),
        )
    elif view.state == "failed":
        st.error(record.error or view.message, icon=":material/error:")
    elif view.state == "interrupted":
        st.warning(f"{record.error or view.message} {_left_over(record)}", icon=":material/bolt:")
    elif view.state == "cancelled":
        st.warning(f"This run was cancelled. {_left_over(record)}", icon=":material/stop:")
    if view.state in ("failed", "interrupted", "cancelled") and record.recipe:
        st.button(
            "Try again",
            key="again",
            icon=":material/refresh:",
            on_click=session.try_again,
            args=(engine, record.recipe),
        )


def _left_over(record: RunRecord) -> str:
    total = record.model.blocks if record.model else 0
    return (
        f"{len(record.blocks)} of {total} blocks were done; they are shown below."
        if record.blocks
        else "No block was done yet."
    )


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
    draw_charts(view.record, session.focus())
