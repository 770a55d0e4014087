"""A sweep: what to run, what it costs, a grid whose cells fill as the runs finish, and the curves that grow
with them.

The cells are runs like any other, so what is there already is there at once, cancelling keeps what is done,
and starting again goes on.

What all runs of a sweep have in common: the model, the texts, the windows. It stands in the address with the
rest of the sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.analysis.comparison.grid import parse_shape
from engine.analysis.comparison.sweep import Cell, sweep
from engine.analysis.comparison.sweep_cost import SweepCost, median_times, sweep_cost
from engine.corpora.named import NAMED
from engine.cost.estimate import estimate
from engine.errors import PrunescopeError, RecipeError
from engine.models.identity import DEMO
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.store.runs import RunSummary
from pages.widgets.compare.sweep_grid import (
    Standings,
    draw_grid,
    draw_progress,
    draw_refused,
    draw_sweep_curves,
    standings,
)
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


TEXTS = ("stories", *(name for name in NAMED if name != "stories"))
MODEL_HELP = (
    "A model that a run was made of, or type another: an id of the hub, or a directory on this machine."
)
TEXT_HELP = "A named text, or the path of a `.txt`, `.jsonl` or `.npy` file."


def choose_base(runs: Sequence[RunSummary]) -> Recipe | None:
    """The recipe that a sweep varies; None where it is refused (sentences say why)."""
    usual = Recipe.build()
    models = dict.fromkeys([DEMO, *(run.recipe.model for run in runs if run.recipe)])
    with st.expander("Model, texts and windows", icon=":material/tune:", key="sweep.base", on_change="rerun"):
        first, second, third = st.columns(3)
        model = first.selectbox(
            "Model", list(models), key="model", bind="query-params", accept_new_options=True, help=MODEL_HELP
        )
        evaluation = second.selectbox(
            "Measured on",
            TEXTS,
            key="evaluation",
            bind="query-params",
            accept_new_options=True,
            help=TEXT_HELP,
        )
        calibration = third.selectbox(
            "Calibrated on",
            TEXTS,
            key="calibration",
            bind="query-params",
            accept_new_options=True,
            help=TEXT_HELP,
        )
        samples = first.number_input(
            "Calibration windows", 1, 100_000, usual.samples, key="samples", bind="query-params"
        )
        length = second.number_input(
            "Tokens a window",
            2,
            1_000_000,
            None,
            key="length",
            bind="query-params",
            placeholder="as the model takes",
        )
    each = f" of {length} tokens" if length else ""
    st.caption(
        f"All on **{model}**, measured on {evaluation}, calibrated on {samples} windows{each} of {calibration}."
    )
    try:
        return Recipe.build(
            model=model or DEMO,
            evaluation=evaluation,
            calibration=calibration,
            samples=samples,
            length=length,
        )
    except RecipeError as error:
        for fault in error.faults:
            st.error(f"{fault.message[0].upper()}{fault.message[1:]}", icon=":material/error:")
        return None


POLL, CURVES_POLL = 0.8, 2.0
SHAPES = (*(f"0.{tenth}" for tenth in range(1, 10)), "2:4", "4:8")
FIRST_PRUNERS, FIRST_SHAPES = ("magnitude", "wanda", "sparsegpt"), ("0.5", "0.6", "0.7")
TOP_UPS = tuple(name for name, allocation in ALLOCATIONS.items() if not allocation.from_user)
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
    pruners = st.multiselect(
        "Pruners", list(PRESETS), FIRST_PRUNERS, format_func=_pruner, key="pruners", bind="query-params"
    )
    left, middle, right = st.columns([2, 2, 1])
    shapes = left.multiselect(
        "Sparsities and patterns",
        SHAPES,
        FIRST_SHAPES,
        key="shapes",
        bind="query-params",
        accept_new_options=True,
        help=SHAPES_HELP,
    )
    top_ups = middle.multiselect(
        "Top-ups", TOP_UPS, ["uniform"], format_func=_top_up, key="topups", bind="query-params"
    )
    seeds = right.number_input("Seeds", 1, MOST_SEEDS, 2, key="seeds", bind="query-params", help=SEEDS_HELP)
    if base is None:
        return ()
    wanted = (
        base,
        tuple(pruners),
        tuple(dict.fromkeys(map(parse_shape, shapes))),
        tuple(top_ups),
        int(seeds),
    )
    kept: tuple[object, tuple[Cell, ...]] | None = st.session_state.get("sweep.cells")
    if kept is not None and kept[0] == wanted:
        return kept[1]
    try:
        cells = sweep(base, pruners, wanted[2], allocations=top_ups, seeds=range(int(seeds)))
    except RecipeError as error:
        st.info(
            " ".join(fault.message[0].upper() + fault.message[1:] for fault in error.faults),
            icon=":material/grid_on:",
        )
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
    if was_active != bool(cost.active):
        redraw_page("sweep")


def _outlay(engine: BackgroundEngine, cells: Sequence[Cell], known: Standings) -> SweepCost:
    """The cost as it stands, with what is known of the model and of this machine."""
    recipe = next((cell.recipe for cell in cells if cell.recipe is not None), None)
    if recipe is None:
        return sweep_cost(cells, known, {}, None)
    summary = engine.summary(recipe.model, recipe.revision).value
    free = engine.capacity(recipe.device).value
    own = median_times(run.record for run in engine.runs() if run.record is not None and not run.recorded)
    return sweep_cost(
        cells, known, own, partial(estimate, summary=summary, capacity=free) if summary else None
    )


def _draw_cost(engine: BackgroundEngine, cost: SweepCost) -> None:
    """How many runs there are, how many to come, and what those take; the buttons."""
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"**{cost.runs} run{'s' if cost.runs != 1 else ''}**, {cost.finished} of them there already. {_words(cost)}",
            width="stretch",
        )
        label = "Start what is missing" if cost.finished or cost.active else "Start"
        icon = ":material/play_arrow:"
        st.button(
            label,
            key="sweep.start",
            type="primary",
            icon=icon,
            disabled=not cost.missing,
            on_click=_start,
            args=(engine, cost.missing),
        )
        if cost.active:
            st.button(
                "Cancel",
                key="sweep.cancel",
                icon=":material/stop:",
                on_click=_cancel,
                args=(engine, cost.active),
            )
    if cost.cost is not None and not cost.cost.fits:
        st.warning(f"{cost.cost.problem} {cost.cost.advice}".strip(), icon=":material/warning:")


def _words(cost: SweepCost) -> str:
    left = cost.runs - cost.finished
    if not left:
        return "Nothing is left to compute."
    if cost.seconds is None or cost.memory is None:
        return f"{left} to compute; what they cost is said as soon as the model is known."
    source = (
        "as such runs took here"
        if cost.measured == left
        else "partly as such runs took here"
        if cost.measured
        else "estimated"
    )
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
