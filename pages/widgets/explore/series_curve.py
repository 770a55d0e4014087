"""The curve of the form's pruner next to the numbers: a click on a point sets the slider to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.chart import Chart
from engine.charts.sparsity_series import sparsity_series
from pages.widgets.chart import draw_chart
from pages.widgets.explore.controls import set_fields

if TYPE_CHECKING:
    from engine.store.series import Series

LEAST = 2
"""Runs with a perplexity that make a curve."""
CLICKS = "series.clicks"
"""Session state: how many points of the curve were clicked."""


def series_chart(series: Series | None) -> Chart | None:
    """Return the chart of a series; None if fewer than `LEAST` of its runs have a perplexity."""
    runs = [run for run in series.runs if run.recipe and run.record and run.record.pruned] if series else []
    if series is None or len(runs) < LEAST:
        return None
    points = [
        (run.recipe.sparsity, run.record.pruned.perplexity, run.record.dense)
        for run in runs
        if run.recipe and run.record and run.record.pruned
    ]
    dense = next((score.perplexity for *_, score in points if score is not None), None)
    if dense is None:
        return None
    return sparsity_series(
        tuple(sparsity for sparsity, *_ in points),
        tuple(perplexity for _, perplexity, _ in points),
        dense,
        series.recipe.sparsity,
        series.recipe.pruner_title,
    )


def draw_curve(chart: Chart) -> None:
    """Draw the chart; a click on a point goes to its sparsity."""
    draw_chart(chart, _key(), select="points", on_select=_go)


def _key() -> str:
    """Return the chart's key, another one after each click: a chart keeps its selection, and would not
    report a second click on the same point.
    """
    return f"series.{st.session_state.get(CLICKS, 0)}"


def _go() -> None:
    points = st.session_state[f"chart.{_key()}"]["selection"]["points"]
    if points:
        st.session_state[CLICKS] = st.session_state.get(CLICKS, 0) + 1
        set_fields({"sparsity": round(points[0]["x"], 6) / 100})
