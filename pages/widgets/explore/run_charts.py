"""The charts of a run in two sections: how the sparsity was allocated, and what pruning did block by block.

The section that is changing is on top: while a method decides on the allocation, that section is alone; once
pruning starts, it moves below the blocks. A section is built again only when the events that it shows have
changed, because building a chart takes processor time that the run could use.
"""

from __future__ import annotations

from collections import deque

import streamlit as st

from engine.charts.chart import Chart
from engine.charts.run_charts import ALLOCATION, HEATMAPS, Makers, chart_parts
from engine.record import RunRecord
from pages.widgets.block_map import draw_block_map
from pages.widgets.chart import draw_chart
from pages.widgets.explore.session import EVERYTHING

LARGE = 520
"""Least height of a chart that is shown alone, pixels."""
FINISHED: deque[tuple[object, dict[str, Chart]]] = deque(maxlen=12)
"""The sections built last of finished runs, which many visitors open, with the version of each."""
NARROW = 14
"""Up to this many blocks, a heat map is readable in half the width of the page."""


def chart_titles(record: RunRecord, second: RunRecord | None = None) -> dict[str, str]:
    """Return the titles of the charts of an ended run by name, and of those that only a second one has. The
    charts are built for them, and kept.
    """
    parts = chart_parts(record, second, clickable=record.state == "finished")
    return {
        name: chart.title
        for section, makers in parts.items()
        for name, chart in _cached_charts(section, makers, record, second).items()
    }


def draw_charts(record: RunRecord, second: RunRecord | None = None, focus: str = EVERYTHING) -> None:
    """Draw the charts of what is known so far, or the one that `focus` names, or none.

    Args:
        second: drawn into all of them, if there is one.
    """
    # a live chart would lose its selection
    parts = chart_parts(record, second, clickable=record.state == "finished")
    if focus != EVERYTHING:
        for makers in parts.values():
            if focus in makers:
                draw_chart(makers[focus](record), focus, least_height=LARGE)
        return
    shown = {title: makers for title, makers in parts.items() if makers}
    for title, makers in shown.items():
        if len(shown) > 1:
            st.subheader(title, anchor=False)
        charts = _cached_charts(title, makers, record, second)
        for (name, chart), cell in zip(charts.items(), _cells(record, makers), strict=True):
            with cell:
                if name in HEATMAPS and record.state == "finished" and record.key is not None:
                    draw_block_map(chart, name, record)
                else:
                    draw_chart(chart, name)


def _cached_charts(
    title: str, makers: Makers, record: RunRecord, second: RunRecord | None
) -> dict[str, Chart]:
    """Return a section's charts, built again only if what they show has changed. Nothing may change them: the
    charts of finished runs serve all tabs.
    """
    # The dense model's record, which has no recipe, follows from the run's own.
    other = second and (_sources(title, second) if second.recipe else "dense")
    version = title, list(makers), _sources(title, record), other
    cache: dict[str, tuple[object, dict[str, Chart]]] = st.session_state.setdefault("charts", {})
    if title in cache and cache[title][0] == version:
        return cache[title][1]
    charts = next((charts for known, charts in tuple(FINISHED) if known == version), None)
    if charts is None:
        charts = {name: make(record) for name, make in makers.items()}
        if record.state == "finished" and (second is None or second.state == "finished"):
            FINISHED.append((version, charts))
    cache[title] = (version, charts)  # per tab, and only the last version
    return charts


def _sources(title: str, record: RunRecord) -> tuple[object, ...]:
    """Return what the charts of a section show of a run."""
    if title == ALLOCATION:
        return record.key, record.measured, record.search, record.allocation, record.rows, record.clipped
    return record.key, record.state, record.blocks, record.protocol.evaluation


def _cells(record: RunRecord, makers: Makers) -> list[st.delta_generator.DeltaGenerator]:
    """Return a cell for each chart, two per line.

    A chart takes a whole line if it would be alone in it, and so does a heat map of many blocks.
    """
    wide = record.model is not None and record.model.blocks > NARROW
    whole = {"coverage", *(["sparsity", "output_error"] if wide else [])}
    halves = [name for name in makers if name not in whole]
    if len(halves) % 2:  # the last one would leave half a line empty
        whole.add(halves[-1])
    grid = st.grid(2, min_column_width=400, border=True)
    return [grid.cell(column_span="all" if name in whole else 1) for name in makers]
