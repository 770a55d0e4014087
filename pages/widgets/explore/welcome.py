"""What a person sees before the first run: what this is, and what will happen.

Explore in a talk, before the click: what is about to happen in a line, and the button, for there is no
sidebar to press it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.coverage import coverage_forecast
from engine.errors import PrunescopeError
from engine.models.shape import ModelSummary
from pages.widgets.chart import draw_chart
from pages.widgets.explore import session
from pages.widgets.explore.fields import Checked

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def draw_stage(engine: BackgroundEngine, checked: Checked) -> None:
    """The recipe's title and the button."""
    recipe = checked.recipe
    st.header(recipe.title if recipe else "This recipe cannot be run", anchor=False)
    if recipe is None:
        st.markdown("  \n".join(sentence for sentences in checked.faults.values() for sentence in sentences))
    start = {"type": "primary", "icon": ":material/play_arrow:", "disabled": recipe is None}
    st.button("Prune", key="prune.stage", on_click=session.prune, args=(engine,), **start)  # type: ignore[arg-type]


STEPS = (
    (
        ":material/tune: Choose",
        "The recipe on the left is ready to run: the bundled model, Wanda, half of its weights. Change what you like.",
    ),
    (
        ":material/play_arrow: Watch",
        "Press **Prune**. Block by block the weights go, and you see how far the model drifts from what it was.",
    ),
    (
        ":material/compare_arrows: Read",
        "Perplexity before and after, under one protocol, and the same prompt continued by both models.",
    ),
)


def draw_welcome(engine: BackgroundEngine, checked: Checked, summary: ModelSummary | None) -> None:
    """Three steps, what the recipe will do to the model, and the way back to runs that are going on."""
    grid = st.grid(3, min_column_width=220, border=True)
    for title, words in STEPS:
        with grid.cell():
            st.markdown(f"**{title}**")
            st.markdown(words)
    if summary is not None and checked.recipe is not None:
        with st.container(border=True):
            draw_chart(coverage_forecast(summary, checked.recipe.sparsity), "forecast")
    for key in engine.active():
        title = _title(engine, key)
        st.button(
            f"Going on now: {title}",
            key=f"watch.{key}",
            icon=":material/visibility:",
            on_click=session.watch,
            args=(key,),
        )


def _title(engine: BackgroundEngine, key: str) -> str:
    try:
        recipe = engine.view(key).record.recipe
    except PrunescopeError:
        return key
    return recipe.title if recipe else key
