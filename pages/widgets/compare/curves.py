"""The curves, what follows from them at a glance, and the way from a point to its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.analysis.comparison.points import curve
from engine.charts.chart import Chart
from engine.charts.compare.curves import patterns, perplexity_curves
from engine.charts.compare.rankings import cliff_ranking, pattern_ranking
from pages.widgets.chart import draw_chart
from pages.widgets.compare.data import Families, Known, choose_families, draw_links

SCALES = {"Automatic": None, "Linear": False, "Logarithmic": True}
ENDS = {"Everything": None, "20 × dense": 20.0, "3 × dense": 3.0}
POINT, CLICKED = "compare.point", "compare.clicked"


def draw_curves(known: Known) -> None:
    """Perplexity against sparsity, for the chosen ways to prune."""
    families = choose_families(known)
    if not families:
        st.info("Choose a pruner above to see its curve.", icon=":material/show_chart:")
        return
    with st.container(horizontal=True, gap="large"):
        scale = st.segmented_control(
            "Scale of the perplexity",
            list(SCALES),
            default="Automatic",
            key="scale",
            bind="query-params",
            required=True,
        )
        end = st.segmented_control(
            "Shown up to", list(ENDS), default="Everything", key="upto", bind="query-params", required=True
        )
    chart = kept_curves(families, known.order, SCALES[scale or "Automatic"], ENDS[end or "Everything"])
    _draw_chosen(draw_chart(chart, "curves", select="points")["selection"], known)
    _draw_answers(families, known.order)


def kept_curves(
    families: Families, order: Sequence[str], logarithmic: bool | None = None, most: float | None = None
) -> Chart:
    """The chart of the curves, drawn anew only when it shows something else."""
    stage = (families, order, logarithmic, most)
    return _kept(
        "curves", stage, lambda: perplexity_curves(families, logarithmic=logarithmic, most=most, order=order)
    )


def _draw_answers(families: Families, order: Sequence[str]) -> None:
    makers = {}
    if any(curve(points) for points in families.values()):
        makers["cliffs"] = cliff_ranking
    if patterns(families):
        makers["patterns"] = pattern_ranking
    grid = st.grid(max(1, len(makers)), min_column_width=400, border=True)
    for name, make in makers.items():
        with grid.cell():
            arguments = (families, order) if make is cliff_ranking else (families,)
            draw_chart(
                _kept(name, (families, order), lambda make=make, arguments=arguments: make(*arguments)), name
            )  # type: ignore[misc]


def _kept(name: str, stage: object, make: Callable[[], Chart]) -> Chart:
    kept: dict[str, tuple[object, Chart]] = st.session_state.setdefault("compare.charts", {})
    if name not in kept or kept[name][0] != stage:
        kept[name] = (stage, make())
    return kept[name][1]


def _draw_chosen(selection: Mapping[str, Any], known: Known) -> None:
    """The run behind a clicked point; the same by a list, for those who do not click."""
    keys = {point.title: point.runs[0].key for family in known.all.values() for point in family}
    clicked = next(
        (str(point["customdata"]) for point in selection.get("points", []) if point.get("customdata")), None
    )
    if clicked is not None and clicked != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = clicked
        st.session_state[POINT] = next((name for name, key in keys.items() if key == clicked), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "A point of the curves",
            list(keys),
            None,
            key=POINT,
            placeholder="Click a point, or choose one",
            width=340,
        )
        if chosen:
            draw_links(keys[chosen], "point")
