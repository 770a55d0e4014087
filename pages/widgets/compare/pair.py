"""Two runs side by side: how their recipes differ, their numbers, the charts that show both, and the overlap
of their masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.comparison.differences import differences
from engine.charts.compare.two_runs import pair_alignment, pair_allocation, pair_depth
from engine.errors import PrunescopeError
from engine.events import Score
from engine.record import RunRecord
from pages.widgets.chart import draw_chart
from pages.widgets.compare.links import LEFT, PRESSED, RIGHT
from pages.widgets.compare.overlap import draw_overlap
from pages.widgets.literal import literal
from pages.widgets.live import show_error
from pages.widgets.page_setup import explore
from pages.widgets.run_picker import finished_runs, pick_run, usual_keys, write_runs

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def draw_pair(engine: BackgroundEngine) -> None:
    """Draw the choice of the two runs and their comparison."""
    # The section has changed already; left in place, it would make the next `draw_links` rerun the page.
    st.session_state.pop(PRESSED, None)
    runs = finished_runs(engine.runs())
    first = usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6))
    columns = st.columns(2)
    with columns[0]:
        left = pick_run(runs, "Left run", LEFT, first=first[0] if first else None)
    with columns[1]:
        right = pick_run(runs, "Right run", RIGHT, first=first[-1] if first else None)
    if left is None or right is None:
        st.info(
            "Comparing needs two finished runs. Prune a model on Explore, or start a sweep.",
            icon=":material/compare_arrows:",
        )
        return
    write_runs({LEFT: left.key, RIGHT: right.key})
    if left.key == right.key:
        st.info("Both sides show the same run. Choose another one.", icon=":material/compare_arrows:")
        return
    for column, run in zip(columns, (left, right), strict=True):
        column.page_link(
            explore(),
            label="Open in Explore",
            icon=":material/content_cut:",
            query_params={"run": run.key},
        )
    names = (left.title, right.title)
    if left.title == right.title:
        names = (f"{left.title} (left)", f"{right.title} (right)")
    try:
        views = (engine.view(left.key), engine.view(right.key))
    except PrunescopeError as error:  # deleted or damaged meanwhile
        show_error(str(error))
        return
    records = (views[0].record, views[1].record)
    _draw_differences(records, names)
    grid = st.grid(2, min_column_width=400, border=True)
    for make in (pair_depth, pair_allocation, pair_alignment):
        with grid.cell():
            # the widget key: fixed per chart, whatever the runs
            draw_chart(make(records, names), make.__name__)
    with grid.cell():
        draw_overlap(engine, views, names)


def _draw_differences(records: tuple[RunRecord, RunRecord], names: tuple[str, str]) -> None:
    """Draw a table of the fields in which the recipes differ, and of the results."""
    left, right = records
    assert left.recipe is not None and right.recipe is not None, "finished runs have recipes"
    rows = [(item.field, item.one, item.other) for item in differences(left.recipe, right.recipe)]
    results: dict[str, Callable[[RunRecord], str]] = {
        "dense perplexity": lambda record: _perplexity(record.dense),
        "pruned perplexity": lambda record: _perplexity(record.pruned),
        "ratio": lambda record: numbers.ratio(record.ratio),
        "sparsity achieved": lambda record: numbers.percent(record.sparsity.achieved, 2),
        "time": lambda record: numbers.seconds(record.elapsed),
    }
    rows += [(name, words(left), words(right)) for name, words in results.items()]
    st.markdown("**Differences and results**")
    table = pd.DataFrame(rows, columns=["", *map(literal, names)]).map(literal)  # cells are Markdown
    st.table(table, hide_index=True, border="horizontal")
    for words in dict.fromkeys(narrow_calibration_of(record.recipe) for record in records):
        if words:
            st.caption(f":material/info: {words}")
    if left.protocol.perplexity != right.protocol.perplexity:
        protocols = literal(f"{left.protocol.perplexity}; {right.protocol.perplexity}")
        st.warning(f"The perplexities cannot be compared: {protocols}.", icon=":material/warning:")


def _perplexity(score: Score | None) -> str:
    return numbers.perplexity(score.perplexity if score else None)
