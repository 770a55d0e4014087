"""A sweep: what to run, what it costs, a grid whose cells fill as runs finish, and the curves of its runs.

The runs of a sweep are ordinary runs: existing ones are used, finished ones are kept if the rest is
cancelled, and starting again runs only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.analysis.comparison.grid import RunStatus
from engine.analysis.comparison.points import family
from engine.analysis.comparison.sweep import Cell
from engine.analysis.comparison.sweep_cost import SweepCost, median_times, sweep_cost
from engine.cost.estimate import estimate
from engine.errors import PrunescopeError
from engine.recipe import Recipe
from engine.record.outline import outline
from engine.store.summary import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.compare.curves import cached_curves
from pages.widgets.compare.data import Groups, known, known_runs
from pages.widgets.compare.sweep_form import choose_cells
from pages.widgets.compare.sweep_grid import draw_grid, draw_impossible
from pages.widgets.engine_handle import find_view
from pages.widgets.literal import literal
from pages.widgets.live import live, show_error
from pages.widgets.progress import progress_words

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

POLL, CURVES_POLL = 0.8, 2.0  # seconds
ERROR = "sweep.error"
Statuses = dict[str, RunStatus]
"""The state of each run by its key."""


def draw_sweep(engine: BackgroundEngine) -> None:
    """Draw the form, the cost, the grid and the curves."""
    cells = choose_cells(engine.runs(), engine.public and engine.public.policy)
    if not cells:
        return
    keys = {cell.recipe.key for cell in cells if cell.recipe is not None}

    # It ignores the state: progress is redrawn in the fragments, and the page only when the last run ends.
    def is_active(_: object) -> bool:
        return not keys.isdisjoint(engine.active())

    live(
        "sweep",
        engine.active,
        lambda _: _draw_progress(engine, cells, keys),
        left=is_active,
        every=POLL,
    )
    draw_impossible(cells)
    live(
        "sweep.curves",
        engine.active,
        lambda _: _draw_curves(known_runs(engine.runs()), cells),
        left=is_active,
        every=CURVES_POLL,
    )


def _draw_progress(engine: BackgroundEngine, cells: Sequence[Cell], keys: Set[str]) -> None:
    """Draw everything that changes while the sweep runs."""
    runs = engine.runs()  # once, because listing thousands of runs takes a while
    statuses = _statuses(engine, keys, runs)
    cost = _cost(engine, cells, statuses, runs)
    _draw_cost(engine, cost)
    if message := st.session_state.pop(ERROR, ""):
        show_error(message)
    text = f"{cost.finished} of {cost.runs} runs finished"
    if cost.active:
        text += f"; they are kept if you cancel the rest.{_doing(engine, cost.active)}"
    # The bar is drawn in any case: a grid that moves under the pointer loses the next click.
    st.progress(cost.finished / max(1, cost.runs), text=text)
    draw_grid(cells, statuses)


def _statuses(engine: BackgroundEngine, keys: Set[str], runs: Sequence[RunSummary]) -> Statuses:
    """Return the statuses of a sweep's runs: active ones from the engine, the others from the store's list.

    The list is much faster than asking the engine for each run.
    """
    idle = keys - set(engine.active())
    statuses = {
        run.key: RunStatus(run.state, run.record, run.message or (run.record and run.record.error) or "")
        for run in runs
        if run.key in idle
    }
    for key in keys - statuses.keys():  # active, or never run: then there is no view
        view = find_view(engine, key)
        if view is not None:
            statuses[key] = RunStatus(view.state, outline(view.record), view.record.error or view.message)
    return statuses


def _cost(
    engine: BackgroundEngine, cells: Sequence[Cell], statuses: Statuses, runs: Sequence[RunSummary]
) -> SweepCost:
    """Return the cost of what is missing, as far as the model and the free memory are known."""
    # any: all cells share the model and the device
    recipe = next((cell.recipe for cell in cells if cell.recipe is not None), None)
    if recipe is None:
        return sweep_cost(cells, statuses, {}, None)
    model = engine.summary(recipe.model, recipe.revision).value
    capacity = engine.capacity(recipe.device).value
    own = median_times(run.record for run in runs if run.record is not None and run.own)
    return sweep_cost(
        cells, statuses, own, partial(estimate, summary=model, capacity=capacity) if model else None
    )


def _draw_cost(engine: BackgroundEngine, cost: SweepCost) -> None:
    """Draw how many runs are left and what they take, and the buttons."""
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        runs = f"**{cost.runs} run{'' if cost.runs == 1 else 's'}**"
        st.markdown(f"{runs}, {cost.finished} already finished. {_cost_words(cost)}", width="stretch")
        st.button(
            "Start missing runs" if cost.finished or cost.active else "Start",
            key="sweep.start",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not cost.missing,
            on_click=_start,
            args=(engine, cost.missing),
        )
        if own := [key for key in cost.active if engine.may_change(key)]:
            st.button(
                "Cancel",
                key="sweep.cancel",
                icon=":material/stop:",
                on_click=_cancel,
                args=(engine, own),
            )
    if cost.cost is not None and not cost.cost.fits:
        st.warning(literal(f"{cost.cost.problem} {cost.cost.advice}"), icon=":material/warning:")


def _cost_words(cost: SweepCost) -> str:
    left = cost.runs - cost.finished
    if not left:
        return "Nothing is left to compute."
    if cost.seconds is None or cost.memory is None:
        return f"{left} to compute; their cost appears when the model is known."
    if cost.measured == left:
        source = "measured on runs here"
    else:
        source = "partly measured on runs here" if cost.measured else "estimated"
    download = cost.cost.download_bytes if cost.cost else 0
    fetched = f", {numbers.size(download)} to download" if download else ""
    return (
        f"The other {left} take about {numbers.seconds(cost.seconds)} if computed one after the other "
        f"({source}), and {numbers.size(cost.memory)} of memory{fetched}."
    )


def _doing(engine: BackgroundEngine, keys: Sequence[str]) -> str:
    """Say what the sweep's first active run is doing."""
    for key in engine.active():  # in the order of the queue: the running one first
        view = find_view(engine, key) if key in keys else None
        if view is not None:
            title = view.record.recipe.title if view.record.recipe else "A run"
            return f" {title}: {progress_words(view)}"
    return ""


def _draw_curves(groups: Groups, cells: Sequence[Cell]) -> None:
    """Draw the curves of the sweep's pruners, with all runs of the same protocol."""
    keys = {cell.recipe.key for cell in cells if cell.recipe is not None}
    protocol = next(
        (protocol for protocol, runs in groups.items() if any(run.key in keys for run in runs)), None
    )
    if protocol is None:
        st.caption("The curves appear here when the first run has finished.")
        return
    runs = known(groups, protocol)
    names = {family(cell.recipe) for cell in cells if cell.recipe is not None}
    st.caption(f"Including all other runs of {literal(protocol.title)}.")
    families = {name: runs.all[name] for name in runs.order if name in names}
    draw_chart(cached_curves(families, runs.order), "sweep.curves")


def _start(engine: BackgroundEngine, recipes: Sequence[Recipe]) -> None:
    try:
        for recipe in recipes:  # an error ends the loop; what was submitted before it stays queued
            engine.submit(recipe)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)


def _cancel(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    """Cancel the last runs first, so that none of them starts while the others are removed."""
    for key in reversed(keys):
        try:
            engine.cancel(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
