"""A sweep: what to run, what it costs, and a grid whose cells fill as the runs finish.

The cells are runs like any other, so what is there already is there at once, cancelling keeps what is done, and starting again goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine.charts import numbers
from engine.cost import Cost, estimate
from engine.errors import PrunescopeError, RecipeError
from engine.jobs.views import RunView
from engine.pruning.methods import ALLOCATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.sweep import Cell, sweep
from pages.widgets.fields import check

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

POLL = 1.0
SHAPES = (*(f"0.{tenth}" for tenth in range(1, 10)), "2:4", "4:8")
FIRST_PRUNERS, FIRST_SHAPES = ("magnitude", "wanda", "sparsegpt"), ("0.5", "0.6", "0.7")
TOP_UPS = tuple(name for name in ALLOCATIONS if name != "manual")
MOST_SEEDS = 10
SEEDS_HELP = "How many draws of the calibration windows each cell is run with: seeds 0, 1, … The spread between them is drawn as an error bar."


def draw_sweep(engine: BackgroundEngine) -> None:
    """The choice, its cost, the start, and the grid."""
    base = _base()
    cells = _choose(base)
    if not cells:
        return
    views = {cell.recipe.key: _view(engine, cell.recipe.key) for cell in cells if cell.recipe is not None}
    _draw_cost(engine, cells, views)
    if sentence := st.session_state.pop("sweep.error", ""):
        st.error(sentence, icon=":material/error:")
    active = any(view is not None and view.active for view in views.values())
    st.fragment(_draw_grid, run_every=POLL if active else None)(engine, cells, active)
    _draw_refused(cells)


def _base() -> Recipe:
    """Model, texts and windows as the form on Explore says them; the usual ones where it says nothing that can be run."""
    fields = st.session_state.get("fields")
    recipe = check(fields, None).recipe if fields else None
    return recipe or Recipe.build()


def _choose(base: Recipe) -> tuple[Cell, ...]:
    pruners = st.multiselect("Pruners", list(PRESETS), FIRST_PRUNERS, format_func=lambda name: PRESETS[name].title, key="sweep.pruners")
    left, middle, right = st.columns([2, 2, 1])
    shapes = left.multiselect("Sparsities and patterns", SHAPES, FIRST_SHAPES, key="shapes", bind="query-params", accept_new_options=True)
    top_ups = middle.multiselect("Top-ups", TOP_UPS, ["uniform"], key="topups", bind="query-params")
    seeds = right.number_input("Seeds", 1, MOST_SEEDS, 2, key="seeds", bind="query-params", help=SEEDS_HELP)
    st.caption(
        f"On {base.model}, evaluated on {', '.join(base.evaluations) or 'nothing'}, calibrated on {base.samples} windows of {base.calibration}."
    )
    st.page_link("pages/explore.py", label="Choose another model or text on Explore", icon=":material/tune:")
    try:
        return sweep(base, pruners, shapes, allocations=top_ups, seeds=range(int(seeds)))
    except RecipeError as error:
        st.info(" ".join(fault.message[0].upper() + fault.message[1:] for fault in error.faults), icon=":material/grid_on:")
        return ()


def _draw_cost(engine: BackgroundEngine, cells: Sequence[Cell], views: dict[str, RunView | None]) -> None:
    """How many runs are there, how many to come, and what those take; the buttons."""
    missing = [cell.recipe for cell in cells if cell.recipe is not None and not _is_done(views[cell.recipe.key])]
    active = [key for key, view in views.items() if view is not None and view.active]
    done = sum(_is_done(view) for view in views.values())
    summary = engine.summary(missing[0].model, missing[0].revision).summary if missing else None
    free = engine.capacity(missing[0].device).capacity if missing else None
    costs = [estimate(recipe, summary, free) for recipe in missing] if summary else []
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{len(views)} runs**, {done} of them there already. {_cost_words(len(missing), costs)}", width="stretch")
        start = {"type": "primary", "icon": ":material/play_arrow:", "disabled": not missing or len(active) == len(missing)}
        label = "Start" if not done else "Start what is missing"
        st.button(label, key="sweep.start", on_click=_start, args=(engine, missing), **start)  # type: ignore[arg-type]
        if active:
            st.button("Cancel", key="sweep.cancel", icon=":material/stop:", on_click=_cancel, args=(engine, active))
    if unfit := next((cost for cost in costs if not cost.fits), None):
        st.warning(f"{unfit.problem} {unfit.advice}".strip(), icon=":material/warning:")


def _cost_words(missing: int, costs: Sequence[Cost]) -> str:
    if not missing:
        return "Nothing is left to compute."
    if not costs:
        return f"{missing} to compute; what they cost is said as soon as the model is known."
    seconds = sum(cost.seconds for cost in costs)
    memory = numbers.size(max(cost.host_bytes for cost in costs))
    return f"The other {missing} take about {numbers.seconds(seconds)} one after the other, and {memory} of memory."


def _draw_grid(engine: BackgroundEngine, cells: Sequence[Cell], was_active: bool) -> None:
    views = {cell.recipe.key: _view(engine, cell.recipe.key) for cell in cells if cell.recipe is not None}
    if was_active != any(view is not None and view.active for view in views.values()):
        st.rerun()
    if was_active:
        done = sum(_is_done(view) for view in views.values())
        st.progress(done / max(1, len(views)), text=f"{done} of {len(views)} runs finished; those that are stay, also when the sweep is cancelled.")
    table, keys = _grid(cells, views)
    chosen = st.dataframe(table, key="sweep.grid", on_select="rerun", selection_mode="single-cell", alt="Sweep: a row a pruner, a column a sparsity")
    st.caption("✓ finished, with its pruned perplexity · ▶ going on · … waiting · ✗ failed · ■ cancelled · empty: not started · — impossible")
    _draw_links(chosen, table, keys)


def _grid(cells: Sequence[Cell], views: dict[str, RunView | None]) -> tuple[pd.DataFrame, dict[tuple[str, str], str]]:
    """A row a pruner with its top-up, a column a sparsity; several seeds share a cell. With the key of each cell's first run."""
    table: dict[str, dict[str, str]] = {}
    keys: dict[tuple[str, str], str] = {}
    for cell in cells:
        row = PRESETS[cell.pruner].title + ("" if cell.allocation == "uniform" else f" with {ALLOCATIONS[cell.allocation].title}")
        word = "—" if cell.recipe is None else _cell_word(views[cell.recipe.key])
        known = table.setdefault(row, {}).get(cell.shape)
        table[row][cell.shape] = word if not known else f"{known}  {word}"
        if cell.recipe is not None:
            keys.setdefault((row, cell.shape), cell.recipe.key)
    return pd.DataFrame.from_dict(table, orient="index"), keys


def _cell_word(view: RunView | None) -> str:
    if view is None:
        return ""
    record = view.record
    if view.state == "finished":
        return f"✓ {numbers.perplexity(record.pruned.perplexity if record.pruned else None)}"
    if view.state == "running":
        return f"▶ {len(record.blocks)}/{record.model.blocks if record.model else '?'}"
    return {"queued": "…", "failed": "✗", "cancelled": "■", "interrupted": "■"}[view.state]


def _draw_links(chosen: object, table: pd.DataFrame, keys: dict[tuple[str, str], str]) -> None:
    """The way from a cell to its run."""
    picked = getattr(getattr(chosen, "selection", None), "cells", None) or []
    if not picked:
        return
    row, column = picked[0]
    key = keys.get((str(table.index[row]), str(column)))
    if key is not None:
        with st.container(horizontal=True):
            st.markdown(f"**{table.index[row]}, {column}**", width="content")
            st.page_link("pages/explore.py", label="Open in Explore", icon=":material/content_cut:", query_params={"run": key})


def _draw_refused(cells: Sequence[Cell]) -> None:
    reasons = {cell.refusal: cell for cell in cells if cell.recipe is None}
    if reasons:
        with st.expander(f"{sum(cell.recipe is None for cell in cells)} cells are impossible", icon=":material/block:"):
            for reason, cell in reasons.items():
                st.markdown(f"{PRESETS[cell.pruner].title}, {cell.allocation}, {cell.shape}: {reason}")


def _is_done(view: RunView | None) -> bool:
    return view is not None and view.state == "finished"


def _view(engine: BackgroundEngine, key: str) -> RunView | None:
    try:
        return engine.view(key)
    except PrunescopeError:
        return None


def _start(engine: BackgroundEngine, recipes: Sequence[Recipe]) -> None:
    try:
        for recipe in recipes:
            engine.submit(recipe)
    except PrunescopeError as error:
        st.session_state["sweep.error"] = str(error)


def _cancel(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    """The last ones first, so that none of them begins while the others are dropped."""
    for key in reversed(keys):
        try:
            engine.cancel(key)
        except PrunescopeError as error:
            st.session_state["sweep.error"] = str(error)
