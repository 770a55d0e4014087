"""Explore before a run is chosen: three steps and a forecast; in a talk, the recipe and a Prune button."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.coverage import coverage_forecast
from engine.errors import PrunescopeError
from engine.models.known_files import SMOLLM2
from engine.models.shape import ModelSummary
from engine.real_model import SPARSITIES, real_recipe
from pages.widgets.chart import draw_chart
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.fields import Checked
from pages.widgets.literal import literal
from pages.widgets.present.presenter import is_presenting

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

EXAMPLES = ("wanda", "ria", "magnitude")
"""Pruners of the real model's bundled runs of which the first that is there is offered."""
WATCH = (
    "Press **Prune**. The model is pruned block by block, and you see how far its hidden states drift from "
    "those of the dense model."
)
READ = (
    "Compare perplexity before and after pruning under the same protocol, and how both models continue the "
    "same prompt."
)


def draw_title() -> None:
    """Draw the page's title, except while presenting."""
    if not is_presenting():
        st.title("Prunescope", anchor=False)
        st.markdown(
            "Choose a language model, a pruner and a sparsity, watch the model being pruned block by "
            "block, and see what it costs in quality."
        )


def draw_start(engine: BackgroundEngine, checked: Checked, summary: ModelSummary | None) -> None:
    """Draw what there is to see before a run is chosen."""
    if is_presenting():
        _draw_stage(engine, checked)
    else:
        _draw_steps(checked)
        if summary is not None and checked.recipe is not None:
            with st.container(border=True):
                draw_chart(coverage_forecast(summary, checked.recipe.sparsity), "forecast")
        _draw_real_model(engine)
        _draw_running(engine)


def _draw_real_model(engine: BackgroundEngine) -> None:
    """Draw a link to a bundled run of a real language model, if one of a few is there."""
    keys = (real_recipe(pruner=pruner, sparsity=SPARSITIES[0]).key for pruner in EXAMPLES)
    key = next((key for key in keys if find_view(engine, key) is not None), None)
    if key is not None:
        st.page_link(
            "pages/explore.py",
            label="See what pruning does to a real language model",
            icon=":material/inventory_2:",
            help=f"A bundled run of {SMOLLM2.title}.",
            query_params={"run": key},
        )


def _draw_stage(engine: BackgroundEngine, checked: Checked) -> None:
    """Draw the recipe's title and a Prune button: while presenting there is no sidebar to press it in."""
    recipe = checked.recipe
    st.header(literal(recipe.title) if recipe else "This recipe cannot run", anchor=False)
    if recipe is None:
        st.markdown(
            "  \n".join(literal(message) for messages in checked.faults.values() for message in messages)
        )
    st.button(
        "Prune",
        key="prune.stage",  # the sidebar's button is drawn too, only hidden: keys must differ
        type="primary",
        icon=":material/play_arrow:",
        disabled=recipe is None,
        on_click=session.prune,
        args=(engine,),
    )


def _draw_steps(checked: Checked) -> None:
    recipe = checked.recipe
    if recipe is None:
        choose = "Choose a model, a pruner and a sparsity on the left."
    else:
        choose = f"The recipe on the left is ready to run: {literal(recipe.title)}. Change anything you like."
    grid = st.grid(3, min_column_width=220, border=True)
    for title, text in (
        (":material/tune: Choose", choose),
        (":material/play_arrow: Watch", WATCH),
        (":material/compare_arrows: Read", READ),
    ):
        with grid.cell():
            st.markdown(f"**{title}**")
            st.markdown(text)


def _draw_running(engine: BackgroundEngine) -> None:
    """Draw a button for each queued or running run, which shows it."""
    for key in engine.active():
        try:
            recipe = engine.view(key).record.recipe
        except PrunescopeError:
            recipe = None
        st.button(
            f"Running: {literal(recipe.title if recipe else key)}",
            key=f"watch.{key}",
            icon=":material/visibility:",
            on_click=session.watch,
            args=(key,),
        )
