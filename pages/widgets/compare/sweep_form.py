"""The choice of a sweep: what all runs share (model, texts, windows), and the pruners, sparsities,
allocations, seeds and orders that are combined. All of it is in the address.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.analysis.comparison.grid import parse_shape
from engine.analysis.comparison.sweep import Cell, sweep
from engine.corpora.named import NAMED
from engine.errors import Fault, RecipeError
from engine.jobs.policy import Policy
from engine.models.identity import DEMO
from engine.pruning.axes import ALLOCATIONS, SCORES
from engine.pruning.presets import PRESETS
from engine.pruning.recommendations import all_pruners
from engine.recipe import Recipe
from engine.store.summary import RunSummary
from pages.widgets.literal import literal

TEXTS = ("stories", *(name for name in NAMED if name != "stories"))
SHAPES = (*(f"0.{tenth}" for tenth in range(1, 10)), "2:4", "4:8")
FIRST_PRUNERS, FIRST_SHAPES = ("magnitude", "wanda", "sparsegpt"), ("0.5", "0.6", "0.7")
MOST_SEEDS, MOST_ORDERS = 10, 5
MODEL_HELP = "A model that has runs already. Or type a hub id, or a directory on this machine."
TEXT_HELP = "A named text, or the path of a `.txt`, `.jsonl` or `.npy` file."
SHAPES_HELP = "Sparsities such as 0.55, or patterns such as 1:4. Type what is not in the list."
SEEDS_HELP = (
    "Number of runs per cell, each with other calibration windows: seeds 0, 1, … Their standard deviation is "
    "drawn as an error bar."
)
ORDERS_HELP = (
    "Repeats of each run with the same calibration windows in another order, which changes only how sums "
    "round. Pruners that are closer than these repeats cannot be told apart, and the charts say so."
)


def choose_cells(runs: Sequence[RunSummary], policy: Policy | None) -> tuple[Cell, ...]:
    """Draw the form and return the sweep's cells; none, with messages, if the choice is invalid.

    Args:
        policy: what visitors may choose; None if there are none.
    """
    base = _choose_base(runs, policy)
    offered = all_pruners()
    pruners = st.multiselect(
        "Pruners",
        list(offered),
        FIRST_PRUNERS,
        format_func=lambda name: offered[name].title,
        key="pruners",
        bind="query-params",
    )
    texts = _draw_texts(pruners)
    left, middle, right, last = st.columns([3, 3, 1.3, 1.3])
    shapes = left.multiselect(
        "Sparsities and patterns",
        SHAPES,
        FIRST_SHAPES,
        key="shapes",
        bind="query-params",
        accept_new_options=True,
        help=SHAPES_HELP,
    )
    allocations = middle.multiselect(
        "Allocations",
        # Manual ratios hold for one sparsity, so a sweep cannot combine them.
        [name for name, allocation in ALLOCATIONS.items() if not allocation.from_user],
        ["uniform"],
        format_func=lambda name: ALLOCATIONS[name].title,
        key="topups",
        bind="query-params",
    )
    seeds = right.number_input("Seeds", 1, MOST_SEEDS, 2, key="seeds", bind="query-params", help=SEEDS_HELP)
    orders = last.number_input(
        "Orders", 1, MOST_ORDERS, 1, key="orders", bind="query-params", help=ORDERS_HELP
    )
    if base is None:
        return ()
    base = base.model_copy(update={"settings": texts})
    shapes = list(dict.fromkeys(map(parse_shape, shapes)))  # 0.5 and 0.50 are one sparsity
    # Building hundreds of recipes takes a while, so the cells are kept while the choice is the same.
    files = [offered[name].origin for name in pruners] + [ALLOCATIONS[name].origin for name in allocations]
    choice = (base, *map(tuple, (pruners, shapes, allocations)), int(seeds), int(orders), tuple(files))
    cached: tuple[object, tuple[Cell, ...]] | None = st.session_state.get("sweep.cells")
    if cached is not None and cached[0] == choice:
        return cached[1]
    try:
        cells = sweep(
            base, pruners, shapes, allocations=allocations, seeds=range(int(seeds)), orders=int(orders)
        )
    except RecipeError as error:
        st.info(" ".join(map(_sentence, error.faults)), icon=":material/grid_on:")
        return ()
    st.session_state["sweep.cells"] = (choice, cells)
    return cells


def _draw_texts(pruners: Sequence[str]) -> dict[str, str]:
    """Draw a field for each text that a chosen pruner's score is written with; return the texts by setting.
    One that is not valid makes the cells impossible that have it.
    """
    # A recommendation has none: it stands for presets whose scores are not written.
    presets = [PRESETS[name] for name in pruners if name in PRESETS]
    scores = {preset.score: SCORES[preset.score] for preset in presets}
    return {
        f"{name}.{parameter.name}": st.text_input(
            f"{score.title}: {parameter.explanation}",
            parameter.default,
            key=name,
            bind="query-params",
        )
        or ""
        for name, score in scores.items()
        for parameter in score.parameters
        if parameter.kind == "text"
    }


def _choose_base(runs: Sequence[RunSummary], policy: Policy | None) -> Recipe | None:
    """Return the recipe that the sweep varies; None, with messages, if it is invalid."""
    default = Recipe.build()
    # a set that keeps the order
    models = list(dict.fromkeys([DEMO, *(run.recipe.model for run in runs if run.recipe)]))
    texts = TEXTS
    if policy is not None:
        models, texts = list(policy.models), policy.texts
    with st.expander("Model, texts and windows", icon=":material/tune:", key="sweep.base", on_change="rerun"):
        first, second, third = st.columns(3)
        model = first.selectbox(
            "Model",
            models,
            key="model",
            bind="query-params",
            accept_new_options=True,
            help=MODEL_HELP if policy is None else None,
        )
        evaluation, calibration = (
            column.selectbox(
                f"{role.capitalize()} text",
                texts,
                key=role,
                bind="query-params",
                accept_new_options=True,
                help=TEXT_HELP if policy is None else None,
            )
            for column, role in ((second, "evaluation"), (third, "calibration"))
        )
        samples = first.number_input(
            "Calibration windows", 1, 100_000, default.samples, key="samples", bind="query-params"
        )
        length = second.number_input(
            "Tokens per window",
            2,
            1_000_000,
            None,
            key="length",
            bind="query-params",
            placeholder="default of the model",
        )
    windows = f"{samples} windows of {length} tokens" if length else f"{samples} windows"
    st.caption(
        f"All runs: **{literal(model)}**, calibrated on {windows} of {literal(calibration)}, evaluated on "
        f"{literal(evaluation)}."
    )
    return _recipe(
        policy,
        model=model or DEMO,
        evaluation=evaluation,
        calibration=calibration,
        samples=samples,
        length=length,
    )


def _recipe(policy: Policy | None, **fields: object) -> Recipe | None:
    """Return the recipe with these fields; None, with messages, if it is invalid or not public."""
    try:
        recipe = Recipe.build(**fields)
        # Before the sweep pins its recipes, which reads the files that they name.
        if policy is not None and (faults := policy.faults(recipe.model_dump())):
            raise RecipeError(faults)
        return recipe
    except RecipeError as error:
        for fault in error.faults:
            st.error(literal(_sentence(fault)), icon=":material/error:")
        return None


def _sentence(fault: Fault) -> str:
    return fault.message[0].upper() + fault.message[1:]
