"""A sweep: what to run, what it costs, a grid whose cells fill as the runs finish, and the curves that grow with them.

The cells are runs like any other, so what is there already is there at once, cancelling keeps what is done, and starting again goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.comparison.grid import shape_of
from engine.comparison.outlay import Outlay, outlay, times
from engine.cost import estimate
from engine.errors import PrunescopeError, RecipeError
from engine.pruning.methods import ALLOCATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.sweep import Cell, sweep
from pages.widgets.compare.base import choose_base
from pages.widgets.compare.sweep_curves import draw_sweep_curves
from pages.widgets.compare.sweep_grid import Standings, draw_grid, draw_progress, draw_refused, standings
from pages.widgets.redraw import redraw_page

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

POLL, CURVES_POLL = 0.8, 2.0
SHAPES = (*(f"0.{tenth}" for tenth in range(1, 10)), "2:4", "4:8")
FIRST_PRUNERS, FIRST_SHAPES = ("magnitude", "wanda", "sparsegpt"), ("0.5", "0.6", "0.7")
TOP_UPS = tuple(name for name in ALLOCATIONS if name != "manual")
MOST_SEEDS = 10
ERROR = "sweep.error"
SEEDS_HELP = "How many draws of the calibration windows each cell is run with: seeds 0, 1, … The spread between them is drawn as an error bar."
SHAPES_HELP = "Shares such as 0.55, or patterns such as 1:4; type what is not in the list."


def draw_sweep(engine: BackgroundEngine) -> None:
    """The choice, its cost, the start, the grid, the curves."""
    cells = _choose(choose_base(engine.runs()))
    if not cells:
        return
    active = bool(_outlay(engine, cells, standings(engine, cells)).going)
    st.fragment(_draw_live, run_every=POLL if active else None)(engine, cells, active)
    draw_refused(cells)
    st.fragment(draw_sweep_curves, run_every=CURVES_POLL if active else None)(engine, cells)


def _choose(base: Recipe | None) -> tuple[Cell, ...]:
    """The cells of what is chosen; none where that is refused, with a sentence."""
    pruners = st.multiselect("Pruners", list(PRESETS), FIRST_PRUNERS, format_func=_pruner, key="pruners", bind="query-params")
    left, middle, right = st.columns([2, 2, 1])
    shapes = left.multiselect(
        "Sparsities and patterns", SHAPES, FIRST_SHAPES, key="shapes", bind="query-params", accept_new_options=True, help=SHAPES_HELP
    )
    top_ups = middle.multiselect("Top-ups", TOP_UPS, ["uniform"], format_func=_top_up, key="topups", bind="query-params")
    seeds = right.number_input("Seeds", 1, MOST_SEEDS, 2, key="seeds", bind="query-params", help=SEEDS_HELP)
    if base is None:
        return ()
    wanted = (base, tuple(pruners), tuple(dict.fromkeys(map(shape_of, shapes))), tuple(top_ups), int(seeds))
    kept: tuple[object, tuple[Cell, ...]] | None = st.session_state.get("sweep.cells")
    if kept is not None and kept[0] == wanted:
        return kept[1]
    try:
        cells = sweep(base, pruners, wanted[2], allocations=top_ups, seeds=range(int(seeds)))
    except RecipeError as error:
        st.info(" ".join(fault.message[0].upper() + fault.message[1:] for fault in error.faults), icon=":material/grid_on:")
        return ()
    st.session_state["sweep.cells"] = (wanted, cells)
    return cells


def _pruner(name: str) -> str:
    return PRESETS[name].title


def _top_up(name: str) -> str:
    return ALLOCATIONS[name].title


def _draw_live(engine: BackgroundEngine, cells: Sequence[Cell], was_active: bool) -> None:
    """All that moves while a sweep goes on."""
    known = standings(engine, cells)
    cost = _outlay(engine, cells, known)
    _draw_cost(engine, cost)
    if sentence := st.session_state.pop(ERROR, ""):
        st.error(sentence, icon=":material/error:")
    draw_progress(engine, cost)
    draw_grid(cells, known)
    if was_active != bool(cost.going):
        redraw_page("sweep")


def _outlay(engine: BackgroundEngine, cells: Sequence[Cell], known: Standings) -> Outlay:
    """The cost as it stands, with what is known of the model and of this machine."""
    recipe = next((cell.recipe for cell in cells if cell.recipe is not None), None)
    if recipe is None:
        return outlay(cells, known, {}, None)
    summary = engine.summary(recipe.model, recipe.revision).summary
    free = engine.capacity(recipe.device).capacity
    own = times(run.record for run in engine.runs() if run.record is not None and not run.recorded)
    return outlay(cells, known, own, partial(estimate, summary=summary, capacity=free) if summary else None)


def _draw_cost(engine: BackgroundEngine, cost: Outlay) -> None:
    """How many runs there are, how many to come, and what those take; the buttons."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{cost.runs} run{'s' if cost.runs != 1 else ''}**, {cost.there} of them there already. {_words(cost)}", width="stretch")
        label = "Start what is missing" if cost.there or cost.going else "Start"
        icon = ":material/play_arrow:"
        st.button(label, key="sweep.start", type="primary", icon=icon, disabled=not cost.missing, on_click=_start, args=(engine, cost.missing))
        if cost.going:
            st.button("Cancel", key="sweep.cancel", icon=":material/stop:", on_click=_cancel, args=(engine, cost.going))
    if cost.cost is not None and not cost.cost.fits:
        st.warning(f"{cost.cost.problem} {cost.cost.advice}".strip(), icon=":material/warning:")


def _words(cost: Outlay) -> str:
    left = cost.runs - cost.there
    if not left:
        return "Nothing is left to compute."
    if cost.seconds is None or cost.memory is None:
        return f"{left} to compute; what they cost is said as soon as the model is known."
    source = "as such runs took here" if cost.measured == left else "partly as such runs took here" if cost.measured else "estimated"
    download = cost.cost.download_bytes if cost.cost else 0
    fetched = f", {numbers.size(download)} to download" if download else ""
    memory = numbers.size(cost.memory)
    return f"The other {left} take about {numbers.seconds(cost.seconds)} one after the other ({source}), and {memory} of memory{fetched}."


def _start(engine: BackgroundEngine, recipes: Sequence[Recipe]) -> None:
    try:
        for recipe in recipes:
            engine.submit(recipe)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)


def _cancel(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    """The last ones first, so that none of them begins while the others are dropped."""
    for key in reversed(keys):
        try:
            engine.cancel(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
