"""Which runs' models read and write: chosen from the finished ones, their keys in the address; those without weights are computed on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.store import RunSummary
from pages.widgets.progress import progress_words, share
from pages.widgets.run_picker import words

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

MOST = 4
POLL = 0.5


def choose_runs(runs: Sequence[RunSummary], first: Sequence[str]) -> list[RunSummary]:
    """Up to `MOST` runs of one model; the address names them as `?runs=KEY,KEY`."""
    found = {run.key: run for run in runs}
    asked = [key for key in (st.query_params.get("runs") or "").split(",") if key]
    if asked and asked != st.session_state.get("generate.asked"):
        st.session_state["generate.asked"] = asked
        st.session_state["generate.runs"] = [key for key in asked if key in found][:MOST]
        for key in asked:
            if key not in found:
                st.warning(
                    f"The address asks for the run {key}, but there is no finished run of that key here; it is left out.", icon=":material/info:"
                )
    default = [key for key in first if key in found]
    keys = st.multiselect("Pruned by", list(found), default, format_func=lambda key: words(found[key]), key="generate.runs", max_selections=MOST)
    if keys and keys != asked:
        st.query_params["runs"] = ",".join(keys)
        st.session_state["generate.asked"] = keys
    return [found[key] for key in keys]


def with_weights(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs whose models are here; one click computes the others, and they join when they are done."""
    missing = [run for run in runs if not run.has_weights]
    if missing:
        active = [run for run in missing if _is_active(engine, run.key)]
        if active:
            st.fragment(_draw_computing, run_every=POLL)(engine, active)
        else:
            _draw_offer(engine, missing)
    return [run for run in runs if run.has_weights]


def _draw_offer(engine: BackgroundEngine, missing: Sequence[RunSummary]) -> None:
    titles = " and ".join(run.title for run in missing)
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"{titles}: here as numbers alone, without weights. Computing takes about as long as it took there.", width="stretch")
        st.button("Compute here", key="generate.compute", icon=":material/play_arrow:", on_click=_compute, args=(engine, missing))
    if sentence := st.session_state.pop("generate.error", ""):
        st.error(sentence, icon=":material/error:")


def _draw_computing(engine: BackgroundEngine, active: Sequence[RunSummary]) -> None:
    views = [engine.view(run.key) for run in active if _is_active(engine, run.key)]
    if not views:
        st.rerun()
    for view in views:
        st.progress(share(view), text=progress_words(view))


def _is_active(engine: BackgroundEngine, key: str) -> bool:
    try:
        return engine.view(key).active
    except PrunescopeError:
        return False


def _compute(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    try:
        for run in runs:
            if run.recipe is not None:
                engine.submit(run.recipe)
    except PrunescopeError as error:
        st.session_state["generate.error"] = str(error)
