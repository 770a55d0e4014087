"""Which runs' models read and write: chosen from the finished ones, their keys in the address; those without
weights are computed on request.

Asking the worker about texts, and what stands there until it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.errors import PrunescopeError
from engine.jobs.requests import ReadRequest
from engine.jobs.views import ReadingView
from engine.store.runs import RunSummary
from pages.widgets.live import redraw_page
from pages.widgets.progress import progress_words, share
from pages.widgets.run_picker import words

if TYPE_CHECKING:
    from engine.evaluation.text_types import Reading
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView


ASKING_POLL = 0.3
Views = dict[ReadRequest, ReadingView]


def ask(engine: BackgroundEngine, requests: Sequence[ReadRequest]) -> Views:
    """What is known of each request; the first of them are answered first.

    The engine turns to what was asked last, but sends the very first question on at once: so the most urgent
    one is asked at both ends.
    """
    views = {request: _ask(engine, request) for request in (*requests[:1], *reversed(requests))}
    return {request: views[request] for request in requests}


def ask_in_turn(engine: BackgroundEngine, requests: Sequence[ReadRequest], urgent: int) -> Views:
    """The same where only the first few are looked at: the others are not asked before those are answered,
    for they would take the processor from them and from the browser that draws them.
    """
    views = ask(engine, requests[:urgent])
    rest = requests[urgent:]
    return views | (dict.fromkeys(rest, ReadingView("pending")) if is_pending(views) else ask(engine, rest))


def _ask(engine: BackgroundEngine, request: ReadRequest) -> ReadingView:
    try:
        return engine.read(request)
    except PrunescopeError as error:
        return ReadingView("failed", message=str(error))


def is_pending(views: Views) -> bool:
    """Whether there is something to wait for."""
    return any(view.state == "pending" for view in views.values())


def drawn(
    part: str, engine: BackgroundEngine, requests: Sequence[ReadRequest], draw: Callable[[Views], None]
) -> None:
    """Draw the answers now, and again as they come; what is there is shown while others are on their way.
    `part`: its name on the page.
    """
    pending = is_pending(ask(engine, requests))

    def again() -> None:
        views = ask(engine, requests)
        draw(views)
        if pending and not is_pending(views):
            redraw_page(part)

    st.fragment(again, run_every=ASKING_POLL if pending else None)()


def answered(engine: BackgroundEngine, view: ReadingView, height: int = 130) -> Reading | None:
    """The answer; where there is none, what is the matter stands in its place."""
    if view.state == "failed":
        st.error(view.message, icon=":material/error:")
    elif view.reading is None:
        st.skeleton(height=height)
        if engine.status.state != "ready":
            st.caption(engine.status.message)
    return view.reading


MOST = 4
POLL = 0.5


def choose_runs(runs: Sequence[RunSummary], first: Sequence[str]) -> list[RunSummary]:
    """Up to `MOST` runs of one model; the address names them as `?runs=KEY,KEY`."""
    found = {run.key: run for run in runs}
    asked = [key for key in (st.query_params.get("runs") or "").split(",") if key]
    if asked and asked != st.session_state.get("generate.asked"):
        st.session_state["generate.asked"] = asked
        st.session_state["generate.runs"] = [key for key in asked if key in found][:MOST] or [
            key for key in first if key in found
        ]
        _say_missing([key for key in asked if key not in found])
    default = [key for key in first if key in found]
    keys = st.multiselect(
        "Pruned by",
        list(found),
        default,
        format_func=lambda key: words(found[key]),
        key="generate.runs",
        max_selections=MOST,
    )
    if keys and keys != asked:
        st.query_params["runs"] = ",".join(keys)
        st.session_state["generate.asked"] = keys
    return _of_one_model([found[key] for key in keys])


def with_weights(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs whose models are here; one click computes the others, and they join as they are done."""
    missing = [run for run in runs if not run.has_weights]
    if missing:
        active = [run.key for run in missing if (view := _view(engine, run.key)) and view.active]
        if active:
            st.fragment(_draw_computing, run_every=POLL)(engine, missing, len(active))
        else:
            _draw_offer(engine, missing)
    return [run for run in runs if run.has_weights]


def _say_missing(keys: Sequence[str]) -> None:
    for key in keys:
        st.warning(
            f"The address asks for the run {key}, but there is no finished run of that key here; it is left out.",
            icon=":material/info:",
        )


def _of_one_model(runs: list[RunSummary]) -> list[RunSummary]:
    """The runs of the first one's model: texts are held against one dense text."""
    models = [(run.recipe.model, run.recipe.revision) if run.recipe else None for run in runs]
    others = [run.title for run, model in zip(runs, models, strict=True) if model != models[0]]
    if others:
        st.warning(
            f"{numbers.listed(others)} left out: all texts are held against one dense model's, and that is another.",
            icon=":material/info:",
        )
    return [run for run, model in zip(runs, models, strict=True) if model == models[0]]


def _draw_offer(engine: BackgroundEngine, missing: Sequence[RunSummary]) -> None:
    """What is missing, what it would take, and the one button."""
    for run in missing:
        view = _view(engine, run.key)
        if view is not None and view.state != "finished":
            st.error(
                f"{run.title} could not be computed: {view.record.error or view.message or view.state}",
                icon=":material/error:",
            )
    titles, took = (
        numbers.listed([run.title for run in missing], 4),
        sum(run.record.elapsed for run in missing if run.record),
    )
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"{titles}: here as numbers alone, without weights. Computing {'it' if len(missing) == 1 else 'them'} gives the same "
            f"(it took {numbers.seconds(took)}).",
            width="stretch",
        )
        label = "Compute it here" if len(missing) == 1 else f"Compute these {len(missing)} here"
        st.button(
            label,
            key="generate.compute",
            icon=":material/play_arrow:",
            on_click=_compute,
            args=(engine, missing),
        )
    if sentence := st.session_state.pop("generate.error", ""):
        st.error(sentence, icon=":material/error:")


def _draw_computing(engine: BackgroundEngine, missing: Sequence[RunSummary], active_before: int) -> None:
    """How far all of them are; the page is drawn anew whenever one is done."""
    views = [view for run in missing if (view := _view(engine, run.key)) is not None]
    active = [view for view in views if view.active]
    if active:
        first = active[0]
        title = first.record.recipe.title if first.record.recipe else ""
        st.progress(
            sum(map(_share, views)) / len(views),
            text=f"{len(active)} of {len(views)} to go · {title}: {progress_words(first)}",
        )
    if len(active) != active_before:
        redraw_page("generate.computing")


def _share(view: RunView) -> float:
    return share(view) if view.active else float(view.state == "finished" and not view.recorded)


def _view(engine: BackgroundEngine, key: str) -> RunView | None:
    try:
        return engine.view(key)
    except PrunescopeError:
        return None


def _compute(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    try:
        for run in runs:
            if run.recipe is not None:
                engine.submit(run.recipe)
    except PrunescopeError as error:
        st.session_state["generate.error"] = str(error)
