"""The overlap of two runs' masks, per linear, with links into the microscope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.overlap import LinearOverlap, Side
from engine.analysis.linear_names import linear_names
from engine.charts.compare.mask_overlap import overlap_grid
from engine.jobs.views import RunView
from engine.record import RunRecord
from engine.record.parts import ModelFacts
from pages.widgets.chart import draw_chart
from pages.widgets.compute_here import draw_compute_here
from pages.widgets.literal import literal
from pages.widgets.live import live_answer, show_error

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

TITLE = "**Mask overlap**"
SIDES: dict[str, Side] = {"Kept weights": "kept", "Removed weights": "removed"}
CELL, CLICKED = "overlap.cell", "overlap.clicked"


def draw_overlap(engine: BackgroundEngine, views: tuple[RunView, RunView], names: tuple[str, str]) -> None:
    """Draw the heat map, or why there is none; runs without weights can be computed first."""
    left, right = (view.record for view in views)
    if not _same_linears(left.model, right.model):
        st.markdown(TITLE)
        st.info(
            "These runs are of different models, so their masks cannot be compared. Choose two runs of the "
            "same model.",
            icon=":material/block:",
        )
        return
    missing = [view.record for view in views if not view.has_weights]
    if missing:
        st.markdown(TITLE)
        draw_compute_here(engine, missing, "compute.pair")
        return
    live_answer(
        "overlap",
        lambda: engine.overlap(str(left.key), str(right.key)),
        lambda overlaps: _draw_map(overlaps, (left, right), names),
        waiting=_draw_waiting,
        failed=_draw_failure,
    )


def _draw_waiting() -> None:
    st.markdown(TITLE)
    st.skeleton(height=260)
    st.caption("Comparing the masks.")


def _draw_failure(message: str) -> None:
    st.markdown(TITLE)
    show_error(message)


def _same_linears(left: ModelFacts | None, right: ModelFacts | None) -> bool:
    return (
        left is not None and right is not None and left.linears == right.linears and left.name == right.name
    )


def _draw_map(
    overlaps: Sequence[LinearOverlap], records: tuple[RunRecord, RunRecord], names: tuple[str, str]
) -> None:
    label = st.segmented_control(
        "Overlap of", list(SIDES), default="Kept weights", key="overlap", bind="query-params", required=True
    )
    side = SIDES[label or "Kept weights"]
    order = linear_names(records[0])
    selection = draw_chart(overlap_grid(overlaps, side, order), "overlap", select="points")["selection"]
    _draw_links(selection, overlaps, side, (str(records[0].key), str(records[1].key)), names)


def _draw_links(
    selection: Mapping[str, Any],
    overlaps: Sequence[LinearOverlap],
    side: Side,
    keys: tuple[str, str],
    names: tuple[str, str],
) -> None:
    """Draw links to a linear in the microscope: one that is clicked, or chosen from a list."""
    linears = {
        f"Block {item.block}, {item.linear}: {numbers.percent(getattr(item, side).share)}": item
        for item in sorted(overlaps, key=lambda item: getattr(item, side).share)
    }
    clicked = next(
        # (block, linear)
        (tuple(point["customdata"][:2]) for point in selection.get("points", []) if point.get("customdata")),
        None,
    )
    # The chart keeps its selection, so only a new click overrides the list.
    if clicked is not None and clicked != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = clicked
        st.session_state[CELL] = next(
            (words for words, item in linears.items() if (item.block, item.linear) == clicked), None
        )
    # The labels contain the shares, so another side or pair of runs has other options.
    if st.session_state.get(CELL) not in linears:
        st.session_state.pop(CELL, None)
    chosen = linears[
        st.selectbox(
            "Open in Microscope",
            list(linears),
            key=CELL,
            help="Click a cell, or choose a linear here. The least similar come first.",
        )
    ]
    with st.container(horizontal=True):
        for key, name in zip(keys, names, strict=True):
            query = {"run": key, "block": str(chosen.block), "linear": chosen.linear}
            st.page_link(
                "pages/microscope.py", label=literal(name), icon=":material/biotech:", query_params=query
            )
