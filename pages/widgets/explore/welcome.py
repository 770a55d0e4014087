"""What stands around a run on Explore: the title, runs that are under way, and, where no run of the form's
recipe exists, three steps and a forecast.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.coverage import coverage_forecast
from engine.models.identity import DEMO
from engine.models.known_files import SMOLLM2
from engine.models.shape import ModelSummary
from engine.recipe.real_model import SPARSITIES, real_recipe
from pages.widgets.chart import draw_chart
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.fields import Checked
from pages.widgets.explore.recipe_form import draw_prune
from pages.widgets.explore.shown_run import Shown
from pages.widgets.literal import literal
from pages.widgets.page_setup import explore
from pages.widgets.present.presenter import is_presenting

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine

EXAMPLES = ("wanda", "ria", "magnitude")
"""Pruners of the real model's bundled runs of which the first that is there is offered."""
MOST = 3
"""Runs under way that are offered one by one."""
WATCH = (
    "Press **Prune**. The model is pruned block by block, and you see how far its hidden states drift from "
    "those of the dense model."
)
PURPOSE = (
    "Choose a language model, a pruner and a sparsity, watch the model being pruned block by block, and see "
    "what it costs in quality."
)
PURPOSE_WIDTH = 370
"""Pixels: the title, what the page is for and the choices share one line on a page of 1440 pixels."""
READ = (
    "Compare perplexity before and after pruning under the same protocol, and how both models continue the "
    "same prompt."
)


def draw_title(engine: BackgroundEngine, shown: Shown) -> DeltaGenerator:
    """Draw the title and what the page is for, except while presenting; return the rest of the line."""
    if is_presenting():
        return st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Prunescope", anchor=False, width="content")
        st.caption(PURPOSE, width=PURPOSE_WIDTH)
        if shown.key is not None and shown.series is not None and shown.series.recipe.model == DEMO:
            _draw_real_model(engine)
        return st.container(width="content")


def draw_welcome(engine: BackgroundEngine, checked: Checked, model: Answer[ModelSummary]) -> None:
    """Draw what there is to see while there is no run of the form's recipe, nor one with another sparsity."""
    if is_presenting():
        return
    _draw_steps(checked, model)
    if model.value is not None and checked.recipe is not None:
        with st.container(border=True):
            draw_chart(coverage_forecast(model.value, checked.recipe.sparsity), "forecast")
    _draw_last(engine)
    _draw_real_model(engine)


def _draw_last(engine: BackgroundEngine) -> None:
    """Draw a button back to the run that the tab showed before the form changed, if any."""
    view = find_view(engine, next(iter(session.shown_keys()), None))
    if view is not None:
        st.button(
            f"Back to {literal(view.record.title)}",
            key="last",
            icon=":material/undo:",
            on_click=session.watch,
            args=(str(view.record.key),),
        )


def _draw_real_model(engine: BackgroundEngine) -> None:
    """Draw a link to a bundled run of a real language model, if one of a few is there."""
    key = next((key for key in _example_keys() if find_view(engine, key) is not None), None)
    if key is not None:
        st.page_link(
            explore(),
            label="See a real language model",
            width="content",
            icon=":material/inventory_2:",
            help=f"A bundled run of {SMOLLM2.title}.",
            query_params={"run": key},
        )


@cache  # a page is drawn often, and the bundled runs stay the same
def _example_keys() -> tuple[str, ...]:
    return tuple(real_recipe(pruner=pruner, sparsity=SPARSITIES[0]).key for pruner in EXAMPLES)


def draw_stage(engine: BackgroundEngine, checked: Checked, model: Answer[ModelSummary], shown: Shown) -> None:
    """While presenting the form, draw the button, and what it is for unless a run says that: there is no
    sidebar.
    """
    if not is_presenting() or session.run_key() is not None:
        return
    recipe = checked.recipe
    with st.container(horizontal=True, vertical_alignment="center"):
        if shown.key is None or shown.nearest:
            title = literal(recipe.title) if recipe else "This recipe cannot run"
            st.header(title, anchor=False, width="content")
        if recipe is None:
            st.markdown(
                "  \n".join(literal(message) for messages in checked.faults.values() for message in messages)
            )
        # The sidebar's button is drawn too, only hidden: keys must differ.
        draw_prune(engine, checked, model, shown, key="prune.stage", width="content")


def _draw_steps(checked: Checked, model: Answer[ModelSummary]) -> None:
    if checked.recipe is None:
        choose = "Choose a model, a pruner and a sparsity on the left."
    else:
        recipe = literal(checked.recipe.title)
        choose = f"The recipe on the left{_readiness(model)}: {recipe}. Change anything you like."
    grid = st.grid(3, min_column_width=220, border=True)
    for title, text in (
        (":material/tune: Choose", choose),
        (":material/play_arrow: Watch", WATCH),
        (":material/compare_arrows: Read", READ),
    ):
        with grid.cell():
            st.markdown(f"**{title}**")
            st.markdown(text)


def _readiness(model: Answer[ModelSummary]) -> str:
    """Return what is known about a recipe without faults from its model; nothing if the engine failed."""
    if model.value is not None:
        return " is ready to run"
    return " will be ready when its model's configuration has been read" if model.pending else ""


def draw_active(engine: BackgroundEngine, shown: Shown) -> None:
    """Draw a button for each of the first queued or running runs that are not on display, which shows it."""
    keys = [key for key in engine.active() if key != shown.key]
    if not keys or is_presenting():
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for key in keys[:MOST]:
            view = find_view(engine, key)
            recipe = view.record.recipe if view is not None else None
            st.button(
                f"Running: {literal(recipe.title if recipe else key)}",
                key=f"watch.{key}",
                icon=":material/visibility:",
                on_click=session.watch,
                args=(key,),
            )
        if len(keys) > MOST:
            st.page_link("pages/runs.py", label=f"and {len(keys) - MOST} more", width="content")
