"""What else there is to see of a linear: how it was decided, where its zeros are, what it cost, and what its groups and singular values look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.chart import Chart
from engine.charts.microscope.groups import group_boxes
from engine.charts.microscope.lost_rows import lost_rows
from engine.charts.microscope.norms import norms_against_sparsity
from engine.charts.microscope.profiles import sparsity_profiles
from engine.charts.microscope.scores import score_histogram
from engine.charts.microscope.spectrum import singular_values
from engine.inspection.facts import Picture, Study
from engine.inspection.spectrum import is_quick
from engine.jobs.views import InspectionView
from engine.pruning.methods import SCORES
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.microscope.asking import answered, hold_place
from pages.widgets.microscope.place import Place

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

HELD = 300  # pixels of a card's chart
PASSING = "The calibration text is passing through the pruned blocks before this one, as it did in the run."


def draw_panels(engine: BackgroundEngine, place: Place, recipe: Recipe, picture: Picture | None, view: InspectionView[Study]) -> None:
    """The cards, in pairs; what is not known yet has its place."""
    study = view.found
    grid = st.grid(2, min_column_width=400, border=True)
    if view.state == "failed":
        st.error(view.message, icon=":material/error:")
    elif study is None:
        with grid.cell():
            hold_place(lambda: engine.inspect(place.request), HELD, PASSING)
    else:
        _draw_groups(grid, study)
        with grid.cell():
            _draw_scores(study, recipe)
    for name, chart in _of_study(picture, study).items():
        with grid.cell():
            draw_chart(chart, name)
    with grid.cell():
        _draw_spectrum(engine, place)
    if picture is not None:
        with grid.cell(column_span="all"):
            draw_chart(sparsity_profiles(picture), "m.profiles")
    for note in study.notes if study else ():
        st.warning(note, icon=":material/info:")


def _of_study(picture: Picture | None, study: Study | None) -> dict[str, Chart]:
    """The charts that the calibration text has a part in."""
    if study is None:
        return {}
    found = {} if picture is None else {"m.norms": norms_against_sparsity(study.norms, picture.column_removed, picture.shape[0])}
    return {**found, "m.lost": lost_rows(study)}


def _draw_scores(study: Study, recipe: Recipe) -> None:
    if study.scores is None:
        st.markdown("**Scores**")
        st.caption(study.unscored)
    else:
        draw_chart(score_histogram(study.scores, SCORES[recipe.score].title), "m.scores")


def _draw_groups(grid: st.delta_generator.DeltaGenerator, study: Study) -> None:
    if study.groups is not None:
        with grid.cell(column_span="all"):  # type: ignore[attr-defined]
            draw_chart(group_boxes(study.groups), "m.groups")


def _draw_spectrum(engine: BackgroundEngine, place: Place) -> None:
    """At once where they take about a second, else behind a button."""
    wanted = st.session_state.setdefault("m.spectra", set())
    if not is_quick(*place.shape) and place.request not in wanted:
        st.markdown("**Singular values, dense against pruned**")
        st.caption(f"A weight of {place.shape[0]:,} × {place.shape[1]:,} takes a while to decompose, so it is done only when you ask for it.")
        st.button("Compute them", key="m.decompose", icon=":material/play_arrow:", on_click=wanted.add, args=(place.request,))
        return
    view = answered(lambda: engine.spectrum(place.request))
    if view.found is not None:
        draw_chart(singular_values(view.found), "m.spectrum")
    elif view.state == "failed":
        st.error(view.message, icon=":material/error:")
    else:
        hold_place(lambda: engine.spectrum(place.request), HELD, "Both weights are being decomposed.")
