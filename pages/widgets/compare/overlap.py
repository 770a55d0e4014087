"""What the masks of two runs share: asked of the worker, or computed first where a recorded run came without;
and the way into the microscope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.overlap import LinearOverlap, Side
from engine.charts.chart import linear_names
from engine.charts.compare.mask_overlap import overlap_grid
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.store.runs import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.live import redraw_page
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.recipe import Recipe

POLL = 0.5
TITLE = "**What the two masks share**"
SIDES: dict[str, Side] = {"Kept weights": "kept", "Removed weights": "removed"}
CELL, CLICKED, ERROR = "overlap.cell", "overlap.clicked", "compare.error"


def draw_overlap(
    engine: BackgroundEngine, one: RunSummary, other: RunSummary, names: tuple[str, str]
) -> None:
    """The map, or what stands in its way: two models, masks that are not here, a question that is not
    answered yet.
    """
    if not _alike(one, other):
        st.markdown(TITLE)
        st.info(
            "These are runs of two models, whose weights cannot be laid over one another. Choose two runs of one model.",
            icon=":material/block:",
        )
        return
    missing = [run for run in (one, other) if not run.has_weights]
    if missing:
        _draw_missing(engine, missing)
        return
    pending = engine.overlap(one.key, other.key).pending
    st.fragment(_draw_answer, run_every=POLL if pending else None)(engine, one, other, names, pending)


def _alike(one: RunSummary, other: RunSummary) -> bool:
    """Whether both have the same linears."""
    first, second = (run.record.model if run.record else None for run in (one, other))
    return (
        first is not None
        and second is not None
        and first.linears == second.linears
        and first.name == second.name
    )


def _draw_answer(
    engine: BackgroundEngine, one: RunSummary, other: RunSummary, names: tuple[str, str], was_pending: bool
) -> None:
    answer = engine.overlap(one.key, other.key)
    if answer.failed:
        st.markdown(TITLE)
        st.error(answer.message, icon=":material/error:")
    elif answer.value:
        _draw_map(answer.value, (one, other), names)
    else:
        st.markdown(TITLE)
        st.skeleton(height=260)
        st.caption("The masks are being laid over one another.")
    if was_pending and not answer.pending:
        redraw_page("overlap")


def _draw_map(
    found: tuple[LinearOverlap, ...], runs: tuple[RunSummary, RunSummary], names: tuple[str, str]
) -> None:
    label = st.segmented_control(
        "Overlap of", list(SIDES), default="Kept weights", key="overlap", bind="query-params", required=True
    )
    side = SIDES[label or "Kept weights"]
    order = linear_names(runs[0].record) if runs[0].record else []
    selection = draw_chart(overlap_grid(found, side, order), "overlap", select="points")["selection"]
    _draw_inside(selection, found, side, (runs[0].key, runs[1].key), names)


def _draw_inside(
    selection: Mapping[str, Any],
    found: Sequence[LinearOverlap],
    side: Side,
    keys: tuple[str, str],
    names: tuple[str, str],
) -> None:
    """From a linear into the microscope, by a click or by a list that begins with the least alike."""
    places = {_words(one, side): one for one in sorted(found, key=lambda one: getattr(one, side).share)}
    clicked = next(
        (tuple(point["customdata"][:2]) for point in selection.get("points", []) if point.get("customdata")),
        None,
    )
    if clicked is not None and clicked != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = clicked
        st.session_state[CELL] = next(
            (words for words, one in places.items() if (one.block, one.linear) == clicked), None
        )
    if st.session_state.get(CELL) not in places:
        st.session_state.pop(CELL, None)
    chosen = places[
        st.selectbox(
            "Look inside a linear of",
            list(places),
            key=CELL,
            help="Click a cell, or choose here; the least alike first.",
        )
    ]
    with st.container(horizontal=True):
        for key, name in zip(keys, names, strict=True):
            place = {"run": key, "block": str(chosen.block), "linear": chosen.linear}
            st.page_link("pages/microscope.py", label=name, icon=":material/biotech:", query_params=place)


def _words(one: LinearOverlap, side: Side) -> str:
    return f"Block {one.block}, {one.linear}: {numbers.percent(getattr(one, side).share)}"


def _draw_missing(engine: BackgroundEngine, missing: list[RunSummary]) -> None:
    """Masks that are not here: one click computes those runs, and the overlap follows by itself."""
    st.markdown(TITLE)
    views = [_view(engine, run.key) for run in missing]
    if any(view is not None and view.active for view in views):
        st.fragment(_draw_computing, run_every=POLL)(engine, missing)
        return
    for view in views:
        if view is not None and view.state in ("failed", "cancelled", "interrupted"):
            st.error(
                view.record.error or view.message or f"Its run was {view.state}.", icon=":material/error:"
            )
    took = numbers.seconds(sum(run.record.elapsed for run in missing if run.record))
    here = "here as numbers alone, without masks"
    st.markdown(
        f"{' and '.join(run.title for run in missing)}: {here}. Computing took {took} where that was done; the numbers are the same."
    )
    recipes = [run.recipe for run in missing if run.recipe is not None]
    st.button(
        "Compute here",
        key="compute.pair",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_compute,
        args=(engine, recipes),
    )
    if sentence := st.session_state.pop(ERROR, ""):
        st.error(sentence, icon=":material/error:")


def _draw_computing(engine: BackgroundEngine, missing: list[RunSummary]) -> None:
    views = [view for run in missing if (view := _view(engine, run.key)) is not None]
    for view in views:
        if view.active:
            st.progress(share(view), text=progress_words(view))
    if not any(view.active for view in views):
        redraw_page("overlap.computing")


def _view(engine: BackgroundEngine, key: str) -> RunView | None:
    try:
        return engine.view(key)
    except PrunescopeError:
        return None


def _compute(engine: BackgroundEngine, recipes: list[Recipe]) -> None:
    try:
        for recipe in recipes:
            engine.submit(recipe)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
