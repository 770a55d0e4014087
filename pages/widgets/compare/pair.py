"""Two runs side by side: in what their recipes differ, their numbers, the charts that hold both, and what their masks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine.charts import numbers
from engine.charts.compare.pair import overlap_grid, pair_alignment, pair_allocation, pair_depth
from engine.comparison.differences import differences
from engine.errors import PrunescopeError
from engine.jobs.store import RunSummary
from engine.jobs.views import OverlapView, RunView
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.progress import progress_words, share
from pages.widgets.run_picker import finished_runs, pick_run, usual_keys

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine
    from engine.recipe import Recipe

POLL = 0.5
TITLES = {"one": "One run", "other": "Another run"}


def draw_pair(engine: BackgroundEngine) -> None:
    """Choose two runs, and see them together."""
    runs = finished_runs(engine)
    first = usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6)) or [None, None]
    left, right = st.columns(2)
    with left:
        one = pick_run(runs, TITLES["one"], "one", first=first[0])
    with right:
        other = pick_run(runs, TITLES["other"], "other", first=first[-1])
    if one is None or other is None or one.record is None or other.record is None:
        st.info("Two finished runs are needed. Prune something on Explore, or start a sweep.", icon=":material/compare_arrows:")
        return
    if one.key == other.key:
        st.info("Both are the same run. Choose another one on the right.", icon=":material/compare_arrows:")
        return
    records = (one.record, other.record)
    names = _names(one, other)
    _draw_recipes(records, names)
    grid = st.grid(2, min_column_width=400, border=True)
    for make in (pair_depth, pair_allocation, pair_alignment):
        with grid.cell():
            draw_chart(make(records, names), make.__name__)
    with grid.cell():
        _draw_overlap(engine, one, other)


def _names(one: RunSummary, other: RunSummary) -> tuple[str, str]:
    """What tells them apart in a legend."""
    if one.title != other.title:
        return one.title, other.title
    return f"{one.title} (left)", f"{other.title} (right)"


def _draw_recipes(records: tuple[RunRecord, RunRecord], names: tuple[str, str]) -> None:
    one, other = records
    assert one.recipe is not None and other.recipe is not None, "finished runs have recipes"
    rows = [(difference.field, difference.one, difference.other) for difference in differences(one.recipe, other.recipe)]
    rows += [("dense perplexity", *(numbers.perplexity(record.dense.perplexity if record.dense else None) for record in records))]
    rows += [("pruned perplexity", *(numbers.perplexity(record.pruned.perplexity if record.pruned else None) for record in records))]
    rows += [("ratio", *(numbers.ratio(record.ratio) for record in records))]
    rows += [("sparsity achieved", *(numbers.percent(record.sparsity.achieved, 2) for record in records))]
    rows += [("time", *(numbers.seconds(record.elapsed) for record in records))]
    st.markdown("**In what they differ, and what came of it**")
    st.table(pd.DataFrame(rows, columns=["", *names]), hide_index=True, border="horizontal")
    if one.protocol.perplexity != other.protocol.perplexity:
        st.warning(f"Their perplexities do not compare: {one.protocol.perplexity}; {other.protocol.perplexity}.", icon=":material/warning:")


def _draw_overlap(engine: BackgroundEngine, one: RunSummary, other: RunSummary) -> None:
    missing = [run for run in (one, other) if not run.has_weights]
    if missing:
        _draw_missing(engine, missing)
        return
    pending = _ask(engine, one.key, other.key).state == "pending"
    st.fragment(_draw_grid, run_every=POLL if pending else None)(engine, one.key, other.key, pending)


def _ask(engine: BackgroundEngine, one: str, other: str) -> OverlapView:
    try:
        return engine.overlap(one, other)
    except PrunescopeError as error:
        return OverlapView("failed", message=str(error))


def _draw_grid(engine: BackgroundEngine, one: str, other: str, was_pending: bool) -> None:
    view = _ask(engine, one, other)
    if was_pending and view.state != "pending":
        st.rerun()
    if view.state == "failed":
        st.error(view.message, icon=":material/error:")
    elif view.overlaps:
        draw_chart(overlap_grid(view.overlaps), "overlap")
    else:
        st.skeleton(height=260)
        st.caption("The masks are being laid over one another.")


def _draw_missing(engine: BackgroundEngine, missing: list[RunSummary]) -> None:
    """Masks that are not here: one click computes those runs, and the overlap follows by itself."""
    st.markdown("**What the two masks share**")
    recipes = [run.recipe for run in missing if run.recipe is not None]
    views = [_view(engine, run.key) for run in missing]
    if any(view is not None and view.active for view in views):
        st.fragment(_draw_computing, run_every=POLL)(engine, missing)
        return
    titles = " and ".join(run.title for run in missing)
    st.markdown(f"{titles}: here as numbers alone, without masks. Computing takes about as long as it took there.")
    st.button("Compute here", key="compute.pair", icon=":material/play_arrow:", on_click=_compute, args=(engine, recipes))
    if sentence := st.session_state.pop("compare.error", ""):
        st.error(sentence, icon=":material/error:")


def _draw_computing(engine: BackgroundEngine, missing: list[RunSummary]) -> None:
    views = [view for run in missing if (view := _view(engine, run.key)) is not None]
    if not any(view.active for view in views):
        st.rerun()
    for view in views:
        if view.active:
            st.progress(share(view), text=progress_words(view))


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
        st.session_state["compare.error"] = str(error)
