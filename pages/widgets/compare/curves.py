"""The curves, and the way from a point to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.charts.compare.curves import curve_table, filtered, needs_logarithm, perplexity_curves
from pages.widgets.chart import draw_chart
from pages.widgets.compare.families import Known, choose_families

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 50.0
"""The end of the ratio's slider, which means all."""
SCALES = ("Automatic", "Linear", "Logarithmic")


def draw_curves(known: Known) -> None:
    """Perplexity against sparsity, for the chosen ways to prune."""
    families = choose_families(known)
    if not families:
        st.info("Choose a pruner above to see its curve.", icon=":material/show_chart:")
        return
    scale = st.segmented_control("Scale of the perplexity", SCALES, default=SCALES[0], key="scale", bind="query-params", required=True)
    logarithmic = {"Linear": False, "Logarithmic": True}.get(scale or "", needs_logarithm(families))
    chart = perplexity_curves(families, logarithmic=logarithmic, order=known.order)
    state = draw_chart(chart, "curves", select="points")
    _draw_chosen(state["selection"], known)


def draw_table(known: Known) -> None:
    """Every run of the protocol, to sort, filter and take along."""
    table = curve_table(known.all)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Only rows with", key="rows", type="search", placeholder="wanda, 2:4, own …", bind="query-params", live=True, width=320)
        most = st.slider("Perplexity at most × dense", 1.0, MOST, MOST, 0.5, key="most", bind="query-params", width=320)
    shown = filtered(table, words or "", None if most >= MOST else most)
    st.caption(f"{len(shown)} of {len(table)} points. Click a column's head to sort.")
    columns: dict[str, Any] = {
        "sparsity": st.column_config.NumberColumn(format="percent"),
        "perplexity": st.column_config.NumberColumn(format="%.3f"),
        "deviation": st.column_config.NumberColumn(format="%.3f", help="Sample standard deviation over the seeds"),
        "ratio": st.column_config.NumberColumn(format="%.3f", help="Pruned perplexity / dense perplexity"),
    }
    st.dataframe(shown, hide_index=True, column_config=columns, height=480)
    st.download_button("CSV", shown.to_csv(index=False), "comparison.csv", "text/csv", icon=":material/download:", on_click="ignore")


def _draw_chosen(selection: Mapping[str, Any], known: Known) -> None:
    """The run behind a clicked point; the same by a list, for those who do not click."""
    keys = {
        f"{point.family} {point.shape if point.is_grouped else format(point.sparsity, '.0%')}": point.runs[0].key
        for family in known.all.values()
        for point in family
    }
    clicked = next((str(point["customdata"]) for point in selection.get("points", []) if point.get("customdata")), None)
    if clicked is not None and clicked != st.session_state.get("compare.clicked"):
        st.session_state["compare.clicked"] = clicked
        st.session_state["compare.point"] = next((name for name, key in keys.items() if key == clicked), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("A point of the curves", list(keys), None, key="compare.point", placeholder="Click a point, or choose one", width=360)
        if chosen:
            st.page_link("pages/explore.py", label="Open in Explore", icon=":material/content_cut:", query_params={"run": keys[chosen]})
            st.page_link("pages/microscope.py", label="Under the microscope", icon=":material/search:", query_params={"run": keys[chosen]})
            two = {"section": "Two runs", "one": keys[chosen]}
            st.page_link("pages/compare.py", label="Beside another", icon=":material/compare_arrows:", query_params=two)
