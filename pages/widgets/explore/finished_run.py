"""What a finished run offers below its charts: texts, repetitions, measurements and files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine.jobs.views import RunView
from pages.widgets.compute_here import draw_compute_here
from pages.widgets.explore import session
from pages.widgets.explore.compare_with import second_view
from pages.widgets.explore.downloads import draw_downloads
from pages.widgets.explore.prompt import draw_prompt
from pages.widgets.explore.seed_spread import draw_spread
from pages.widgets.explore.size_speed import draw_size_speed
from pages.widgets.known_model import is_absent
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

ELSEWHERE = "Generate shows the texts of several runs, Compare the overlap of two masks."


def draw_finished(engine: BackgroundEngine, view: RunView) -> None:
    """Draw all of it; what needs weights only if they are here, else the offer to compute them."""
    record = view.record
    if session.compared():
        st.caption(
            f"Except for size and speed, the following is of {literal(record.title)} alone. {ELSEWHERE}"
        )
    if view.has_weights:
        draw_prompt(engine, str(record.key))
    else:
        draw_compute_here(engine, [record], "compute", partial(session.try_again, engine))
    if record.recipe is not None and not is_absent(record.recipe):
        draw_spread(engine, record)
    if view.has_weights:
        draw_size_speed(engine, record, second_view(engine))
    draw_downloads(engine, view)
