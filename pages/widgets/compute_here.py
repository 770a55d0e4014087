"""The offer to compute runs whose results are here without weights, and the progress of computing them.

Recorded and imported runs may have no weights. Whatever needs weights draws this in their place; when a run
is done, the page is drawn again with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.outline import Outline
from engine.record import RunRecord
from pages.widgets.literal import literal
from pages.widgets.live import live, show_error
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.recipe import Recipe

MOST_TITLES = 4


def draw_compute_here(
    engine: BackgroundEngine,
    records: Sequence[RunRecord | Outline],
    key: str,
    submit: Callable[[Recipe], object] | None = None,
) -> None:
    """Draw the offer, or the progress while the runs are queued or running.

    Args:
        records: finished runs without weights, as they were recorded.
        key: of the button.
        submit: starts a run; `engine.submit` by default.
    """
    views = _views(engine, records)
    if any(view.active for view in views):
        live(
            key,
            lambda: _views(engine, records),
            _draw_progress,
            # a count, not a flag: the page is redrawn after each run
            left=lambda views: sum(view.active for view in views),
        )
        return
    failed = [view for view in views if view.state != "finished"]
    for view in failed:
        title = view.record.recipe.title if view.record.recipe else "The run"
        # the run's own error, else the engine's message
        reason = view.record.error or view.message or f"it was {view.state}."
        show_error(f"{title} could not be computed: {reason}")
    recipes = [record.recipe for record in records if record.recipe is not None]
    titles = numbers.listed([literal(recipe.title) for recipe in recipes], MOST_TITLES)
    took = numbers.seconds(sum(record.elapsed for record in records))
    them = "it" if len(recipes) == 1 else "them"
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"{titles}: only the results are here, without weights. Computing {them} took {took} on the "
            "original machine, and gives the same result here.",
            width="stretch",
        )
        st.button(
            "Try again" if failed else "Compute here",
            key=key,
            type="primary",
            icon=":material/play_arrow:",
            on_click=_submit,
            args=(submit or engine.submit, recipes, key),
        )
    # A callback cannot draw on the page, so it leaves its message here; `pop` shows it once.
    if message := st.session_state.pop(f"{key}.error", ""):
        show_error(message)


def _draw_progress(views: Sequence[RunView]) -> None:
    """Draw one bar over all runs, with what the first active one is doing."""
    active = [view for view in views if view.active]
    if active:
        recipe = active[0].record.recipe
        words = f"{literal(recipe.title) if recipe else 'A run'}: {progress_words(active[0])}"
        if len(views) > 1:
            words = f"{len(active)} of {len(views)} runs left · {words}"
        # A recorded run that has not been queued yet is "finished" too.
        done = [
            share(view) if view.active else view.state == "finished" and not view.recorded for view in views
        ]
        st.progress(sum(done) / len(views), text=words)
    st.caption("The weights are being computed. This page continues automatically when they are ready.")


def _views(engine: BackgroundEngine, records: Sequence[RunRecord | Outline]) -> list[RunView]:
    views = []
    for record in records:
        try:
            views.append(engine.view(str(record.key)))
        except PrunescopeError:  # deleted meanwhile: it can be computed like a recorded one
            known = RunRecord(key=record.key, recipe=record.recipe, state="finished")
            views.append(RunView(known, "finished"))
    return views


def _submit(submit: Callable[[Recipe], object], recipes: Sequence[Recipe], key: str) -> None:
    try:
        for recipe in recipes:
            submit(recipe)
    except PrunescopeError as error:
        st.session_state[f"{key}.error"] = str(error)
