"""A run: its state, its numbers and its charts. A live run, a finished one and a replay are drawn by the same
code. Next to the numbers is the curve of the run's pruner over the sparsities that are computed.

While a run is active, its progress is drawn twice a second and its charts every few seconds, or a third as
often if a block takes long. Both take processor time that the run could use: the charts about 0.7 s for each
drawing, most of it the browser's, which paints them. Shortly before the end the charts stay as they are
(`run_end`). When the run ends, the whole page is drawn again, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.overlay.pair import Pair
from engine.charts.overlay.sparsity_series import marked_series
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.models.known_files import known_file
from engine.record import RunRecord
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import replay, session
from pages.widgets.explore.compare_with import (
    draw_choice,
    draw_label,
    draw_second,
    second_record,
    second_view,
)
from pages.widgets.explore.prompt import ask_ahead
from pages.widgets.explore.replay import Playback
from pages.widgets.explore.run_charts import draw_charts
from pages.widgets.explore.run_end import last_before_end, waiting_for_end
from pages.widgets.explore.run_heading import draw_heading
from pages.widgets.explore.run_numbers import draw_numbers
from pages.widgets.explore.series_curve import draw_curve, series_chart
from pages.widgets.explore.shown_part import WITH_NUMBERS, choose_part
from pages.widgets.explore.shown_run import Shown, nearest_words
from pages.widgets.literal import literal
from pages.widgets.live import POLL, live
from pages.widgets.present.presenter import is_presenting
from pages.widgets.progress import progress_words, share
from pages.widgets.public_mode import NOT_YOURS
from pages.widgets.redraw import is_part_drawn

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from engine.jobs.service import BackgroundEngine

CHARTS_POLL = 2.5
"""Seconds between two drawings of the charts."""
WITHOUT_CHARTS = "run.without_charts"
"""Session state: whether no chart of a run was drawn in this tab yet."""
HEAD_STARTS = 0.25, 0.35
"""Seconds by which a tab's first numbers are sent before its form, and the form before its first charts.
Without them, the browser shows all of it together, and loading and drawing the charts takes it seconds.
"""
SLOW_BLOCK, SLOWER = 1.5, 3
"""Seconds that the first block takes in a run that is drawn less often, and how many times less."""
CELL = 300
"""Least width of a third of the page, pixels; on narrower pages the curve is below the numbers."""
FADED = "<style>.st-key-nearest .js-plotly-plot { opacity: 0.45; }</style>"


def draw_run(
    engine: BackgroundEngine, shown: Shown, choices: DeltaGenerator, draw_form: Callable[[], None]
) -> RunView | None:
    """Draw a run and keep it up to date; None, with an error message, if there is no such run.

    The numbers come first: drawing the form takes the browser half a second, drawing the charts more than
    one, and the choice of a run to compare with has hundreds, which a new server has to read.

    Args:
        choices: where to draw the choice of the part that is shown.
        draw_form: draws the recipe form; called once, after the numbers.
    """
    key = str(shown.key)
    try:
        view = engine.view(key)
    except PrunescopeError as error:
        st.error(literal(error), icon=":material/link_off:")
        draw_form()
        return None
    second = second_record(engine, view.record)
    with choices:
        choose_part(view, second)
    playback = replay.current(key)
    if playback is not None:
        draw_form()
        _play(playback, key, second)
        # What belongs to a finished run is drawn only at the replay's end.
        return playback.view() if playback.now < len(playback.replay) else view
    _draw_nearest(shown)
    with st.container():  # in any case, so that the fragments below keep their position
        line = draw_label(view)
        draw_second(engine, view)
    was_active = view.active  # when the page was drawn: it stays true in the fragment's last turn
    slower = SLOWER if _is_slow(view) else 1
    curve = series_chart(shown.series) if session.focus() == session.EVERYTHING else None
    grid = st.grid(3, min_column_width=CELL)
    with grid.cell(column_span=2 if curve is not None else "all"):
        live(
            "run",
            waiting_for_end(lambda: find_view(engine, key), may_wait=is_part_drawn),
            lambda view: _draw_run(engine, key, view, was_active, wide=curve is None),
            # 4 if the user has started another run meanwhile
            left=lambda view: left_of(view) + 4 * (session.run_key() not in (None, key)),
            every=POLL * slower,
            seen=view,
        )
    is_first = st.session_state.setdefault(WITHOUT_CHARTS, True)
    if is_first:
        time.sleep(HEAD_STARTS[0])
    draw_form()
    with line:
        draw_choice(engine, view)
    if is_first:
        time.sleep(HEAD_STARTS[1])
        st.session_state[WITHOUT_CHARTS] = False
    if curve is not None:
        with grid.cell(), st.container(border=True):
            draw_curve(curve if second is None else marked_series(curve, Pair(view.record, second)))
    with st.container(key="nearest" if shown.nearest else "own"):
        live(
            "run.charts",
            last_before_end(lambda: find_view(engine, key)),
            lambda view: _draw_charts(engine, view),
            # 4 as long as the run to compare with changes, too
            left=lambda view: left_of(view) + 4 * is_active(second_view(engine)),
            every=CHARTS_POLL * slower,
            seen=view,
        )
    return view


def _play(playback: Playback, key: str, second: RunRecord | None) -> None:
    """Draw a replay of the run with this key, and go on with it while it plays."""
    live(
        "run.replay",
        lambda: playback,
        lambda playback: _draw_replay(playback, second),
        # It polls while it plays; starting, pausing, ending and closing it all change this number.
        left=lambda playback: (playback.since is not None) - (replay.current(key) is None),
        every=replay.TICK,
    )


def _draw_nearest(shown: Shown) -> None:
    """Name the run if it is not the form's, and fade its charts."""
    # A container in any case: Streamlit recognizes the fragments below by their position.
    with st.container():
        if shown.nearest:
            st.html(FADED)
            st.info(nearest_words(shown), icon=":material/near_me:")


def left_of(view: RunView | None) -> int:
    """Return what is still to come, as `live` wants it. It changes when a run turns out to be slow, so that
    the page is drawn again with other intervals.
    """
    return 0 if view is None or not view.active else 1 + _is_slow(view)


def is_active(view: RunView | None) -> bool:
    """Return whether the run may still change."""
    return view is not None and view.active


def _is_slow(view: RunView) -> bool:
    blocks = view.record.blocks
    return bool(blocks) and blocks[0].seconds > SLOW_BLOCK


def _draw_run(
    engine: BackgroundEngine, key: str, view: RunView | None, was_active: bool, *, wide: bool
) -> None:
    if view is None:
        st.error("This run was deleted.", icon=":material/link_off:")
        return
    draw_heading(view)
    if file := known_file(view.record.recipe.revision if view.record.recipe else None):
        st.caption(file.origin)
    if view.attempt:
        _draw_attempt(engine, view)
    if view.state != "finished" or not is_presenting():
        _draw_state(engine, key, view)
    if session.focus() in WITH_NUMBERS:
        draw_numbers(view.record, second_record(engine, view.record), wide=wide)
    ended = was_active and view.state == "finished"
    if ended and view.has_weights and session.focus() == session.EVERYTHING:
        ask_ahead(engine, key)  # so that the texts are on their way before the page is redrawn


def _draw_charts(engine: BackgroundEngine, view: RunView | None) -> None:
    if view is not None and view.record.model is not None:
        draw_charts(view.record, second_record(engine, view.record), session.focus())


def _draw_replay(playback: Playback, second: RunRecord | None) -> None:
    """Draw the run at the replay's position."""
    view = playback.view()
    draw_heading(view, replayed=True)
    replay.draw_player(playback)
    if session.focus() in WITH_NUMBERS:
        draw_numbers(view.record, second)
    if view.record.model is not None:
        draw_charts(view.record, second, session.focus())


def _draw_state(engine: BackgroundEngine, key: str, view: RunView) -> None:
    """Draw the run's progress or why it ended, and the button for it."""
    record = view.record
    if view.active:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.progress(share(view), text=progress_words(view))
            st.button(
                "Cancel",
                key="cancel",
                icon=":material/stop:",
                disabled=not engine.may_change(key),
                help=None if engine.may_change(key) else NOT_YOURS,
                on_click=session.cancel,
                args=(engine, key),
            )
    elif view.state == "finished":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                f"All {len(record.blocks)} blocks done in {numbers.seconds(record.elapsed)}", width="content"
            )
            st.button(
                "Replay",
                key="replay.begin",
                icon=":material/replay:",
                type="tertiary",
                on_click=replay.begin,
                args=(engine, key),
            )
    else:
        if view.state == "failed":
            st.error(literal(record.error or view.message), icon=":material/error:")
        elif view.state == "interrupted":
            st.warning(
                f"{literal(record.error or view.message)} {_blocks_done(record)}", icon=":material/bolt:"
            )
        else:
            st.warning(f"This run was cancelled. {_blocks_done(record)}", icon=":material/stop:")
        _draw_try_again(engine, record)


def _draw_attempt(engine: BackgroundEngine, view: RunView) -> None:
    """Say that the bundled result is shown because the user's own run gave none, and offer to try again."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/info: {literal(view.attempt)} This is the bundled result.", width="content")
        _draw_try_again(engine, view.record)


def _draw_try_again(engine: BackgroundEngine, record: RunRecord) -> None:
    if record.recipe:
        st.button(
            "Try again",
            key="again",
            icon=":material/refresh:",
            on_click=session.try_again,
            args=(engine, record.recipe),
        )


def _blocks_done(record: RunRecord) -> str:
    if not record.blocks:
        return "No block was done yet."
    total = record.model.blocks if record.model else 0
    return f"{len(record.blocks)} of {total} blocks were done; they are shown below."
