"""The editor of a formula as the score: its text, examples, what it looks like, what it may use, and a
preview on one linear of the model.

It is drawn in the main area, because a formula and its preview do not fit in the sidebar. Its text is the
field `formula.expression`, which is also in the address, so a link shares the formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.microscope.scores import score_histogram
from engine.charts.microscope.two_masks import two_masks
from engine.jobs.requests import PreviewRequest
from engine.models.shape import ModelSummary
from engine.numbers import percent
from engine.pruning.axes import SCORES
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.explore.controls import key, set_fields, show_faults
from pages.widgets.explore.fields import EXPRESSION, Checked
from pages.widgets.formula_reference import draw_examples, draw_reference
from pages.widgets.literal import literal
from pages.widgets.live import live_answer

if TYPE_CHECKING:
    from engine.analysis.microscope.types import Preview
    from engine.jobs.service import BackgroundEngine

MINE, OTHER = SCORES["formula"].title, SCORES["wanda"].title
LEAST_POINTS = 0.005
"""Smaller differences of two output errors in percent are shown as none."""


def draw_formula(engine: BackgroundEngine, checked: Checked, model: ModelSummary | None) -> None:
    """Draw the editor if the recipe's score is a formula."""
    if checked.fields["score"] != "formula":
        return
    with st.expander("Score: your formula", expanded=True, icon=":material/function:"):
        _draw_text(checked)
        if EXPRESSION not in checked.faults:
            st.latex(rf"s_{{ij}} = {SCORES['formula'].with_parameters(_parameters(checked)).formula}")
        with st.container(horizontal=True, vertical_alignment="center"):
            draw_reference()
            st.page_link(
                "pages/learn.py",
                label="Lesson: invent a score",
                icon=":material/school:",
                query_params={"lesson": "invent", "step": "formula", "formula": checked.fields[EXPRESSION]},
            )
        _draw_preview(engine, checked, model)


def _draw_text(checked: Checked) -> None:
    # Without `max_chars`, which cuts the formula of a link and says nothing; a longer one is a fault.
    st.text_input(
        "Formula: weights with the lowest values are removed",
        key=key(EXPRESSION),
        live=True,
        icon=":material/function:",
        placeholder="abs(W) * a",
    )
    show_faults(EXPRESSION, checked)
    draw_examples("example", lambda text: set_fields({EXPRESSION: text}))


def _parameters(checked: Checked) -> dict[str, str]:
    return {"expression": checked.fields[EXPRESSION]}


def _draw_preview(engine: BackgroundEngine, checked: Checked, model: ModelSummary | None) -> None:
    """Draw the preview, or what it needs."""
    if model is None:
        st.caption("The preview appears when the model is known.")
    elif not model.local or model.storage.unpacking:
        st.caption(
            f"The preview needs the weights of {literal(model.name)}, which are not on this machine or not "
            "unpacked yet. A run gets them; afterwards there is a preview."
        )
    elif checked.recipe is None:
        st.caption("The preview appears when the recipe has no errors.")
    else:
        request = _choose_linear(checked.recipe, model)
        live_answer(
            "formula.preview",
            lambda: engine.preview(request),
            _draw_compared,
            waiting=lambda: st.caption(
                "A little calibration text is passing through the model to this linear."
            ),
        )


def _choose_linear(recipe: Recipe, model: ModelSummary) -> PreviewRequest:
    names = list(dict.fromkeys(_inside_block(kind.path) for kind in model.linears))
    st.markdown("**Preview on one linear of the dense model**")
    with st.container(horizontal=True, gap="medium"):
        block = st.number_input("Block", 0, model.blocks - 1, key="formula.block", step=1, width=160)
        name = st.selectbox("Linear", names, key="formula.linear", width=320)
    return PreviewRequest(recipe.model_dump_json(), int(block), name)


def _inside_block(path: str) -> str:
    """Return a linear's name inside its block: what follows the first number of its path."""
    parts = path.split(".")
    first = next((place for place, part in enumerate(parts) if part.isdigit()), -1)
    return ".".join(parts[first + 1 :])


def _draw_compared(preview: Preview) -> None:
    mine, other = preview.mine, preview.other
    points = 100 * (mine.error - other.error)
    metrics = st.container(horizontal=True, gap="large")
    metrics.metric(
        "Output error",
        percent(mine.error),
        f"{points:+.2f} points against {OTHER}" if abs(points) >= LEAST_POINTS else f"as {OTHER}",
        delta_color="inverse" if abs(points) >= LEAST_POINTS else "off",
        delta_arrow="auto" if abs(points) >= LEAST_POINTS else "off",
        width="content",
    )
    metrics.metric(f"Output error, {OTHER}", percent(other.error), width="content")
    metrics.metric("Same decision", percent(preview.same), width="content")
    grid = st.grid(2, min_column_width=380, border=True)
    with grid.cell():
        draw_chart(score_histogram(mine.scores, MINE), "formula.mine")
    with grid.cell():
        draw_chart(score_histogram(other.scores, OTHER), "formula.other")
    with grid.cell(column_span="all"):
        draw_chart(two_masks({MINE: mine.picture, OTHER: other.picture}, preview.same), "formula.masks")
    st.caption(
        f"Inputs of the dense model, {preview.tokens:,} calibration tokens; without weight update and mask "
        "refinement. A lower output error of one linear is no proof: the perplexity of a run decides."
    )
