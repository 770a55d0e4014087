"""Which part of a run Explore shows, for talks: everything, the numbers alone, or a single chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.compare_with import second_record
from pages.widgets.explore.run_charts import chart_titles
from pages.widgets.explore.shown_run import Shown
from pages.widgets.present.presenter import is_presenting

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

WITH_NUMBERS = (session.EVERYTHING, session.NUMBERS)
"""The parts of a run that include its numbers; a single chart is drawn without them."""
SHORT, LONG = 160, 440
"""Widths of the choice, pixels: with all charts it shares its line with other choices."""


def settle_part(engine: BackgroundEngine, shown: Shown) -> None:
    """Have the page show everything if the run has no chart of the chosen name."""
    if session.focus() in WITH_NUMBERS or (view := find_view(engine, shown.key)) is None:
        return
    if session.focus() not in _charts_to_choose(view, second_record(engine, view.record)):
        session.show_everything()


def choose_part(view: RunView, second: RunRecord | None) -> None:
    """Choose the part of an ended run to show, for talks."""
    charts = _charts_to_choose(view, second)
    if charts and not is_presenting():
        titles = {session.EVERYTHING: "Everything", session.NUMBERS: "Numbers only", **charts}
        st.selectbox(
            "Show",
            list(titles),
            format_func=lambda part: titles[part],
            key=session.FOCUS,
            persist_state="session",
            # Alone, a chart leaves the line to its title, of which none is longer.
            width=SHORT if session.focus() in WITH_NUMBERS else LONG,
            label_visibility="collapsed",
        )


def _charts_to_choose(view: RunView, second: RunRecord | None) -> dict[str, str]:
    """Return the titles of the charts that can be shown alone, those of an ended run."""
    return {} if view.active or view.record.model is None else chart_titles(view.record, second)
