"""The Microscope page from top to bottom: the run, the linear, its map, the cards, and the map of all
linears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.analysis.microscope.types import Picture, Study
from engine.charts.heatmaps import output_error_grid
from engine.errors import PrunescopeError
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.summary import RunSummary
from pages.widgets.block_map import draw_block_map
from pages.widgets.compute_here import draw_compute_here
from pages.widgets.literal import literal
from pages.widgets.live import show_error
from pages.widgets.microscope.lens import draw_lens
from pages.widgets.microscope.panels import draw_panels
from pages.widgets.microscope.picker import RUN, Place, choose_place, complaints
from pages.widgets.page_setup import explore
from pages.widgets.run_picker import finished_runs, pick_run, write_runs

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

WIDTH = 380  # width of the list of runs in pixels
FIRST = {
    "score": "wanda",
    "pattern": "unstructured",
    "sparsity": 0.5,
    "allocation": "uniform",
    "update": "none",
    "refinement": "none",
}
"""The recipe of the default run."""


def draw_microscope(engine: BackgroundEngine) -> None:
    """Draw the page."""
    runs = finished_runs(engine.runs())
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with controls.container(width=WIDTH):
        run = pick_run(runs, "Run", RUN, first=first_run(runs))
    if run is None or run.recipe is None:
        st.info(
            "No finished runs yet. Prune a model in Explore first.",
            icon=":material/biotech:",
        )
        st.page_link(explore(), label="Go to Explore", icon=":material/content_cut:")
        return
    try:
        view = engine.view(run.key)
    except PrunescopeError as error:
        write_runs({RUN: run.key})
        show_error(str(error))
        return
    if view.state != "finished" or not view.has_weights:
        write_runs({RUN: run.key})
        draw_compute_here(engine, [run.record or view.record], "m.compute")
        return
    place = choose_place(run.key, view.record, controls)
    for sentence in complaints():
        st.warning(literal(sentence), icon=":material/info:")
    _draw_linear(engine, place, run.recipe, view.record)


def first_run(runs: list[RunSummary]) -> str | None:
    """Return the key of the default run: plain Wanda at 50 %, else the first run with weights."""
    with_weights = [run for run in runs if run.has_weights and run.recipe is not None]
    known = [
        run
        for run in with_weights
        if run.recorded
        and run.recipe
        and all(getattr(run.recipe, name) == value for name, value in FIRST.items())
    ]
    return next((run.key for run in [*known, *with_weights]), None)


def _draw_linear(engine: BackgroundEngine, place: Place, recipe: Recipe, record: RunRecord) -> None:
    study = engine.inspect(place.request).value
    heading = st.empty()  # above the map, but written after it: it needs the picture
    picture = draw_lens(engine, place, recipe, study)
    heading.markdown(_facts(place, picture, study))
    if picture is not None:
        draw_panels(engine, place, recipe, picture)
    with st.container(border=True):
        # The key changes with the linear, or the click that led here would be reported again.
        draw_block_map(
            output_error_grid(record, clickable=True), f"m.blocks.{place.block}.{place.facts.name}", record
        )


def _facts(place: Place, picture: Picture | None, study: Study | None) -> str:
    """Return one line about the linear; the record's facts are there before the worker answers."""
    facts = place.facts
    weights = f"{facts.removed:,} of {facts.rows * facts.columns:,}"
    removed = f"**{numbers.percent(facts.sparsity, 2)}** removed ({weights})"
    parts = [
        f"**Block {place.block}, {literal(facts.name)}**",
        f"{facts.rows:,} × {facts.columns:,}",
        removed,
    ]
    parts.append(f"output error **{numbers.percent(facts.output_error)}**")
    if picture is not None and picture.moved > 0:
        parts.append(f"the update changed the kept weights by {numbers.percent(picture.moved)}")
    if study is not None:
        parts.append(f"{study.tokens:,} calibration tokens")
    return " · ".join(parts)
