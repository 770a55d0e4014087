"""Perplexity against sparsity, two rankings drawn from it, and the links of a point to its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.analysis.comparison.points import curve
from engine.charts.chart import Chart
from engine.charts.compare.curves import patterns, perplexity_curves
from engine.charts.compare.rankings import cliff_ranking, pattern_ranking
from pages.widgets.chart import draw_chart
from pages.widgets.compare.data import Families, Known, choose_families, controls
from pages.widgets.compare.links import draw_links

SCALES = {"Automatic": None, "Linear": False, "Logarithmic": True}
ENDS = {"Everything": None, "20 × dense": 20.0, "3 × dense": 3.0}  # multiples of the dense perplexity
POINT, CLICKED = "compare.point", "compare.clicked"


def draw_curves(known: Known) -> None:
    """Draw the curves of the chosen pruners."""
    with controls("Pruners and y-axis"):
        families = choose_families(known)
        scale, end = _choose_axis()
    if not families:
        st.info("Choose a pruner above to see its curve.", icon=":material/show_chart:")
        return
    chart = cached_curves(families, known.order, SCALES[scale], ENDS[end])
    _draw_point_links(draw_chart(chart, "curves", select="points")["selection"], known)
    _draw_rankings(families, known.order)


def _choose_axis() -> tuple[str, str]:
    """Draw the choice of the axis and return its scale and its end."""
    with st.container(horizontal=True, gap="large"):
        scale = st.segmented_control(
            "Y-axis scale",
            list(SCALES),
            default="Automatic",
            key="scale",
            bind="query-params",
            required=True,
        )
        end = st.segmented_control(
            "Y-axis limit", list(ENDS), default="Everything", key="upto", bind="query-params", required=True
        )
    return scale or "Automatic", end or "Everything"


def cached_curves(
    families: Families, order: Sequence[str], logarithmic: bool | None = None, most: float | None = None
) -> Chart:
    """Return the chart of the curves, built again only if it shows something else."""
    version = (families, order, logarithmic, most)
    return _cached(
        "curves",
        version,
        lambda: perplexity_curves(families, logarithmic=logarithmic, most=most, order=order),
    )


def _draw_rankings(families: Families, order: Sequence[str]) -> None:
    version = (families, order)
    charts = {}
    if any(curve(points) for points in families.values()):
        charts["cliffs"] = _cached("cliffs", version, lambda: cliff_ranking(families, order))
    if patterns(families):
        charts["patterns"] = _cached("patterns", version, lambda: pattern_ranking(families))
    grid = st.grid(max(1, len(charts)), min_column_width=400, border=True)  # a grid needs at least one column
    for name, chart in charts.items():
        with grid.cell():
            draw_chart(chart, name)


def _cached(name: str, version: object, make: Callable[[], Chart]) -> Chart:
    cache: dict[str, tuple[object, Chart]] = st.session_state.setdefault("compare.charts", {})
    if name not in cache or cache[name][0] != version:
        cache[name] = (version, make())
    return cache[name][1]


def _draw_point_links(selection: Mapping[str, Any], known: Known) -> None:
    """Draw the links of a point that is clicked in the chart or chosen from a list."""
    # of several seeds, the first run
    keys = {point.title: point.runs[0].key for family in known.all.values() for point in family}
    clicked = next(
        (str(point["customdata"]) for point in selection.get("points", []) if point.get("customdata")), None
    )
    # The chart keeps its selection, so only a new click overrides the list.
    if clicked is not None and clicked != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = clicked
        st.session_state[POINT] = next((name for name, key in keys.items() if key == clicked), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Point",
            list(keys),
            None,
            key=POINT,
            placeholder="Click a point, or choose one",
            width=340,
        )
        if chosen:
            draw_links(keys[chosen], "point")
