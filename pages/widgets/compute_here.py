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
from engine.record import RunRecord
from engine.record.outline import Outline
from pages.widgets.known_model import draw_absent, is_absent
from pages.widgets.literal import literal
from pages.widgets.live import live, show_error
from pages.widgets.page_setup import explore
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.recipe import Recipe

MOST_TITLES = 4
STARTED = "compute_here.started"
"""Session state: the keys of the runs that were started here, by the keys of the runs that they stand for."""


def draw_compute_here(
    engine: BackgroundEngine,
    records: Sequence[RunRecord | Outline],
    key: str,
    submit: Callable[[Recipe], str | None] | None = None,
) -> None:
    """Draw the offer, or the progress while the runs are queued or running; for runs whose model is not on
    this machine, how to get it.

    Args:
        records: finished runs without weights, as they were recorded.
        key: of the button.
        submit: starts a run and returns its key, or None if it shows that run itself; `engine.submit` by
            default.
    """
    records = _with_model(_without_computed(engine, records), key)
    if not records:
        return
    views = _views(engine, records)
    if any(view.active for view in views):
        live(
            key,
            lambda: _views(engine, records),
            _draw_progress,
            # a count, not a flag: the page is redrawn after each run
            left=lambda views: sum(view.active for view in views),
            seen=views,
        )
        return
    failed = [view for view in views if view.state != "finished" or view.attempt]
    for view in failed:
        _draw_failure(view)
    titles = numbers.listed([literal(record.title) for record in records], MOST_TITLES)
    took = numbers.seconds(sum(record.elapsed for record in records))
    them = "it" if len(records) == 1 else "them"
    # What a file from elsewhere says need not come out here.
    same = "" if any(record.imported for record in records) else ", and gives the same result here"
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"{titles}: only the results are here, without weights. Computing {them} took {took} on the "
            f"original machine{same}.",
            width="stretch",
        )
        st.button(
            "Try again" if failed else "Compute here",
            key=key,
            type="primary",
            icon=":material/play_arrow:",
            on_click=_submit,
            args=(submit or engine.submit, records, key),
        )
    # A callback cannot draw on the page, so it leaves its message here; `pop` shows it once.
    if message := st.session_state.pop(f"{key}.error", ""):
        show_error(message)


def _draw_failure(view: RunView) -> None:
    title = view.record.title or "The run"
    if view.attempt:
        st.caption(f":material/info: {literal(title)}: {literal(view.attempt)}")
    else:
        # the run's own error, else the engine's message
        reason = view.record.error or view.message or f"it was {view.state}."
        show_error(f"{title} could not be computed: {reason}")


def _without_computed(
    engine: BackgroundEngine, records: Sequence[RunRecord | Outline]
) -> list[RunRecord | Outline]:
    """Return the runs that are still to be computed. An imported run stays without weights; the one that was
    computed here is another run, which this names.
    """
    rest = []
    for record, view in zip(records, _views(engine, records), strict=True):
        if record.imported and view.state == "finished" and not (view.recorded or view.imported):
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{literal(record.title)} has no weights, but its recipe was computed here.",
                    width="stretch",
                )
                st.page_link(
                    explore(),
                    label="Open the run computed here",
                    icon=":material/content_cut:",
                    query_params={"run": str(view.record.key)},
                )
        else:
            rest.append(record)
    return rest


def _with_model(records: Sequence[RunRecord | Outline], key: str) -> list[RunRecord | Outline]:
    """Return the runs whose models are on this machine; draw how to get those of the others, once each."""
    absent = {
        record.recipe.model: record
        for record in reversed(records)
        if record.recipe is not None and is_absent(record.recipe)
    }
    for model, record in absent.items():
        assert record.recipe is not None, "it has a model"
        titles = [literal(one.title) for one in records if one.recipe and one.recipe.model == model]
        draw_absent(record.recipe, numbers.listed(titles, MOST_TITLES), f"{key}.{model}")
    return [record for record in records if record.recipe is None or record.recipe.model not in absent]


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
    """Return the runs that compute these; the record itself where there is none."""
    started: dict[str, str] = st.session_state.setdefault(STARTED, {})
    views = []
    for record in records:
        computed = record.recipe.key if record.imported and record.recipe else record.key
        try:
            views.append(engine.view(started.get(str(record.key), str(computed))))
        except PrunescopeError:  # not computed yet, or deleted meanwhile
            known = RunRecord(key=record.key, recipe=record.recipe, state="finished")
            views.append(RunView(known, "finished", recorded=True))
    return views


def _submit(submit: Callable[[Recipe], str | None], records: Sequence[RunRecord | Outline], key: str) -> None:
    started: dict[str, str] = st.session_state.setdefault(STARTED, {})
    try:
        for record in records:
            if record.recipe is not None:
                computing = submit(record.recipe)
                if computing is not None:
                    started[str(record.key)] = computing
    except PrunescopeError as error:
        st.session_state[f"{key}.error"] = str(error)
