"""The curves of a sweep's ways to prune, which gain their points as its runs finish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.comparison.points import family
from engine.sweep import Cell
from pages.widgets.chart import draw_chart
from pages.widgets.compare.curves import kept_curves
from pages.widgets.compare.families import known, known_runs

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine


def draw_sweep_curves(engine: BackgroundEngine, cells: Sequence[Cell]) -> None:
    """All that is known of the sweep's ways to prune under its protocol, its own runs and others."""
    groups = known_runs(engine.runs())
    keys = {cell.recipe.key for cell in cells if cell.recipe is not None}
    protocol = next((protocol for protocol, runs in groups.items() if any(run.key in keys for run in runs)), None)
    if protocol is None:
        st.caption("The curves appear here with the first run that finishes.")
        return
    found = known(groups, protocol)
    names = {family(cell.recipe) for cell in cells if cell.recipe is not None}
    families = {name: found.all[name] for name in found.order if name in names}
    st.caption(f"With all else that is there of {protocol.title}.")
    draw_chart(kept_curves(families, found.order), "sweep.curves")
