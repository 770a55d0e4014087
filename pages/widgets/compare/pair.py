"""Two runs side by side: in what their recipes differ, their numbers, the charts that hold both, and what
their masks share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.comparison.differences import differences
from engine.charts.compare.two_runs import pair_alignment, pair_allocation, pair_depth
from engine.record import RunRecord
from engine.store.runs import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.compare.data import GONE, ONE, OTHER
from pages.widgets.compare.overlap import draw_overlap
from pages.widgets.run_picker import finished_runs, pick_run, usual_keys

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def draw_pair(engine: BackgroundEngine) -> None:
    """Choose two runs, and see them together."""
    st.session_state.pop(GONE, None)
    runs = finished_runs(engine)
    first = usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6)) or [None, None]
    left, right = st.columns(2)
    with left:
        one = pick_run(runs, "One run", ONE, first=first[0])
    with right:
        other = pick_run(runs, "Another run", OTHER, first=first[-1])
    if one is None or other is None or one.record is None or other.record is None:
        st.info(
            "Two finished runs are needed. Prune something on Explore, or start a sweep.",
            icon=":material/compare_arrows:",
        )
        return
    if one.key == other.key:
        st.info("Both are the same run. Choose another one on the right.", icon=":material/compare_arrows:")
        return
    for column, run in ((left, one), (right, other)):
        column.page_link(
            "pages/explore.py",
            label="Open in Explore",
            icon=":material/content_cut:",
            query_params={"run": run.key},
        )
    names = _names(one, other)
    _draw_recipes((one.record, other.record), names)
    grid = st.grid(2, min_column_width=400, border=True)
    for make in (pair_depth, pair_allocation, pair_alignment):
        with grid.cell():
            draw_chart(make((one.record, other.record), names), make.__name__)
    with grid.cell():
        draw_overlap(engine, one, other, names)


def _names(one: RunSummary, other: RunSummary) -> tuple[str, str]:
    """What tells them apart in a legend."""
    if one.title != other.title:
        return one.title, other.title
    return f"{one.title} (left)", f"{other.title} (right)"


def _draw_recipes(records: tuple[RunRecord, RunRecord], names: tuple[str, str]) -> None:
    one, other = records
    assert one.recipe is not None and other.recipe is not None, "finished runs have recipes"
    rows = [
        (difference.field, difference.one, difference.other)
        for difference in differences(one.recipe, other.recipe)
    ]
    rows += [
        (
            "dense perplexity",
            *(numbers.perplexity(record.dense.perplexity if record.dense else None) for record in records),
        )
    ]
    rows += [
        (
            "pruned perplexity",
            *(numbers.perplexity(record.pruned.perplexity if record.pruned else None) for record in records),
        )
    ]
    rows += [("ratio", *(numbers.ratio(record.ratio) for record in records))]
    rows += [("sparsity achieved", *(numbers.percent(record.sparsity.achieved, 2) for record in records))]
    rows += [("time", *(numbers.seconds(record.elapsed) for record in records))]
    st.markdown("**In what they differ, and what came of it**")
    st.table(pd.DataFrame(rows, columns=["", *names]), hide_index=True, border="horizontal")
    if one.protocol.perplexity != other.protocol.perplexity:
        st.warning(
            f"Their perplexities do not compare: {one.protocol.perplexity}; {other.protocol.perplexity}.",
            icon=":material/warning:",
        )
