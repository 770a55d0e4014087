"""The charts of a run on the page, in two parts.

What moves is on top: while a method decides how much each block loses that part stands alone, and when
pruning begins it moves beneath the blocks. A part is drawn anew only when the events that it shows have gone
on, for each drawing takes time that the run would have.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.chart import Chart
from engine.charts.run_charts import ALLOCATION, HEATMAPS, Makers, chart_parts
from engine.record import RunRecord
from pages.widgets.block_map import draw_block_map
from pages.widgets.chart import draw_chart
from pages.widgets.explore.session import EVERYTHING

LARGE = 520
"""Pixels, at least, that a chart takes which is shown alone."""
NARROW = 14
"""Up to this many blocks a heat map is readable in half the page's width."""


def chart_titles(record: RunRecord) -> dict[str, str]:
    """The titles of an ended run's charts, by their names; made once a tab, for it takes the charts to know
    them.
    """
    kept: dict[str | None, dict[str, str]] = st.session_state.setdefault("titles", {})
    if record.key not in kept:
        kept[record.key] = {
            name: make(record).title
            for makers in chart_parts(record).values()
            for name, make in makers.items()
        }
    return kept[record.key]


def draw_charts(record: RunRecord, focus: str = EVERYTHING) -> None:
    """The charts of what is known so far; or one of them alone and large, or none."""
    parts = chart_parts(record, clickable=record.state == "finished")  # while it grows it only shows
    if focus != EVERYTHING:
        alone = {name: make for makers in parts.values() for name, make in makers.items() if name == focus}
        for name, make in alone.items():
            draw_chart(make(record), name, least_height=LARGE)
        return
    shown = {title: makers for title, makers in parts.items() if makers}
    for title, makers in shown.items():
        if len(shown) > 1:
            st.markdown(f"#### {title}")
        for (name, chart), cell in zip(
            _made(title, makers, record).items(), _cells(record, makers), strict=True
        ):
            with cell:
                _draw(name, chart, record)


def _draw(name: str, chart: Chart, record: RunRecord) -> None:
    if name in HEATMAPS and record.state == "finished" and record.key is not None:
        draw_block_map(chart, name, record)
    else:
        draw_chart(chart, name)


def _made(title: str, makers: Makers, record: RunRecord) -> dict[str, Chart]:
    """The charts of a part as this tab last drew them, or new ones where what they show has changed."""
    stage = (record.key, list(makers), *_shown_by(title, record))
    kept: dict[str, tuple[object, dict[str, Chart]]] = st.session_state.setdefault("charts", {})
    if title not in kept or kept[title][0] != stage:
        kept[title] = (stage, {name: make(record) for name, make in makers.items()})
    return kept[title][1]


def _shown_by(title: str, record: RunRecord) -> tuple[object, ...]:
    """What of the record the charts of a part are made of."""
    if title == ALLOCATION:
        return record.measured, record.search, record.allocation, record.rows, record.clipped
    return record.state, record.blocks, record.protocol.evaluation


def _cells(record: RunRecord, makers: Makers) -> list[st.delta_generator.DeltaGenerator]:
    """A cell for each chart, two a line; one that would stand alone takes the line, and so do heat maps of
    many blocks.
    """
    wide = record.model is not None and record.model.blocks > NARROW
    whole = {"coverage", *(["sparsity", "output_error"] if wide else [])}
    halves = [name for name in makers if name not in whole]
    if len(halves) % 2:
        whole.add(halves[-1])
    grid = st.grid(2, min_column_width=400, border=True)
    return [grid.cell(column_span="all" if name in whole else 1) for name in makers]  # type: ignore[arg-type]
