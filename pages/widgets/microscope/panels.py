"""What else there is to see of a linear: how it was decided, where its zeros are, what it cost, and what its
groups and singular values look like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.microscope.findings import is_quick
from engine.analysis.microscope.types import Picture, Study
from engine.charts.microscope.curves import lost_rows, norms_against_sparsity, singular_values
from engine.charts.microscope.profiles import sparsity_profiles
from engine.charts.microscope.scores import group_boxes, score_histogram
from engine.jobs.views import InspectionView
from engine.pruning.axes import SCORES
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.live import answered, hold_place
from pages.widgets.microscope.picker import Place

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

HELD = 300  # pixels of a card's chart
PASSING = "The calibration text is passing through the pruned blocks before this one, as it did in the run."


def draw_panels(engine: BackgroundEngine, place: Place, recipe: Recipe, picture: Picture) -> None:
    """The cards, in pairs; what is not known yet has its place, and comes all at once: each drawing of the
    page takes the browser time.
    """
    if any(answer.state == "pending" for answer in _answers(engine, place)):
        with st.container(border=True):
            hold_place(lambda: _answers(engine, place), HELD, PASSING)
        return
    view = answered(lambda: engine.inspect(place.request))
    if view.found is None:
        st.error(view.message, icon=":material/error:")
    elif view.found.groups is not None:
        with st.container(border=True):
            draw_chart(group_boxes(view.found.groups), "m.groups")
    grid = st.grid(2, min_column_width=400, border=True)
    if view.found is not None:
        _draw_study(grid, view.found, recipe, picture)
    with grid.cell():
        _draw_spectrum(engine, place)
    with grid.cell(column_span="all"):
        draw_chart(sparsity_profiles(picture), "m.profiles")


def _answers(engine: BackgroundEngine, place: Place) -> list[InspectionView[Any]]:
    """What is asked about a linear beside its picture."""
    asked = [answered(lambda: engine.inspect(place.request))]
    if _wants_spectrum(place):
        asked.append(answered(lambda: engine.spectrum(place.request)))
    return asked


def _draw_study(grid: DeltaGenerator, study: Study, recipe: Recipe, picture: Picture) -> None:
    with grid.cell():
        _draw_scores(study, recipe)
    with grid.cell():
        draw_chart(norms_against_sparsity(study.norms, picture.column_removed, picture.shape[0]), "m.norms")
    with grid.cell():
        draw_chart(lost_rows(study), "m.lost")
    for note in study.notes:
        st.warning(note, icon=":material/info:")


def _draw_scores(study: Study, recipe: Recipe) -> None:
    if study.scores is None:
        st.markdown("**Scores**")
        st.caption(study.unscored)
    else:
        draw_chart(score_histogram(study.scores, SCORES[recipe.score].title), "m.scores")


def _wants_spectrum(place: Place) -> bool:
    """Whether the singular values are computed without, or were asked for by, a click."""
    return is_quick(*place.shape) or place.request in st.session_state.setdefault("m.spectra", set())


def _draw_spectrum(engine: BackgroundEngine, place: Place) -> None:
    if not _wants_spectrum(place):
        st.markdown("**Singular values, dense against pruned**")
        st.caption(
            f"A weight of {place.shape[0]:,} × {place.shape[1]:,} takes a while to decompose, so it is done only when you ask for it."
        )
        wanted = st.session_state["m.spectra"]
        st.button(
            "Compute them",
            key="m.decompose",
            icon=":material/play_arrow:",
            on_click=wanted.add,
            args=(place.request,),
        )
        return
    view = answered(lambda: engine.spectrum(place.request))
    if view.found is None:
        st.error(view.message, icon=":material/error:")
    else:
        draw_chart(singular_values(view.found), "m.spectrum")
