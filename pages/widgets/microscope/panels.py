"""The cards below the map of a linear: its scores, where its zeros are, the output error per row, its groups
and its singular values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.microscope.findings import is_quick
from engine.analysis.microscope.types import Picture, Study
from engine.charts.microscope.groups import group_boxes
from engine.charts.microscope.rows_and_columns import norms_against_sparsity, sparsity_profiles, worst_rows
from engine.charts.microscope.scores import score_histogram
from engine.charts.microscope.spectrum import singular_values
from engine.jobs.questions import Answer
from engine.pruning.axes import SCORES
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.live import draw_turn, live, show_error
from pages.widgets.microscope.picker import Place

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

CARD = 300  # height of a card's chart in pixels


def draw_panels(engine: BackgroundEngine, place: Place, recipe: Recipe, picture: Picture) -> None:
    """Draw the cards, all together when every answer is there: each redraw costs the browser time."""
    # The cards themselves are outside the fragment: the page draws them once, when it is redrawn.
    answers = _answers(engine, place)
    if any(answer.pending for answer in answers):
        with st.container(border=True):
            live(
                "microscope.panels",
                lambda: _answers(engine, place),
                _draw_placeholder,
                left=lambda answers: any(answer.pending for answer in answers),
                seen=answers,
            )
        return
    study = engine.inspect(place.request)
    if study.value is None:
        show_error(study.message)
    elif study.value.groups is not None:
        with st.container(border=True):
            draw_chart(group_boxes(study.value.groups), "m.groups")
    grid = st.grid(2, min_column_width=400, border=True)
    if study.value is not None:
        _draw_study(grid, study.value, recipe, picture)
    with grid.cell():
        _draw_spectrum(engine, place)
    with grid.cell(column_span="all"):
        draw_chart(sparsity_profiles(picture), "m.profiles")


def _draw_placeholder(answers: Sequence[Answer[Any]]) -> None:
    st.skeleton(height=CARD)
    st.caption("The calibration text is passing through the preceding pruned blocks, as it did in the run.")
    draw_turn(answers)


def _answers(engine: BackgroundEngine, place: Place) -> list[Answer[Any]]:
    """Return all answers that the cards need."""
    answers: list[Answer[Any]] = [engine.inspect(place.request)]
    if _wants_spectrum(place):
        answers.append(engine.spectrum(place.request))
    return answers


def _draw_study(grid: DeltaGenerator, study: Study, recipe: Recipe, picture: Picture) -> None:
    with grid.cell():
        _draw_scores(study, recipe)
    with grid.cell():
        draw_chart(norms_against_sparsity(study.norms, picture.column_removed, picture.shape[0]), "m.norms")
    with grid.cell():
        draw_chart(worst_rows(study), "m.lost")
    for note in study.notes:
        st.warning(note, icon=":material/info:")


def _draw_scores(study: Study, recipe: Recipe) -> None:
    if study.scores is None:
        st.markdown("**Scores**")
        st.caption(study.unscored)
    else:
        draw_chart(score_histogram(study.scores, SCORES.named(recipe.score).title), "m.scores")


def _wants_spectrum(place: Place) -> bool:
    """Whether the singular values are quick to compute or were requested."""
    return is_quick(*place.shape) or place.request in st.session_state.setdefault("m.spectra", set())


def _draw_spectrum(engine: BackgroundEngine, place: Place) -> None:
    if not _wants_spectrum(place):
        st.markdown("**Singular values, dense and pruned**")
        st.caption(
            f"Decomposing a weight of {place.shape[0]:,} × {place.shape[1]:,} takes a while, so it is "
            "computed only on request."
        )
        st.button(
            "Compute them",
            key="m.decompose",
            icon=":material/play_arrow:",
            on_click=st.session_state["m.spectra"].add,
            args=(place.request,),
        )
        return
    spectrum = engine.spectrum(place.request)
    if spectrum.value is None:
        show_error(spectrum.message)
    else:
        draw_chart(singular_values(spectrum.value), "m.spectrum")
