"""The heat map of a weight with its mask, and the ways to look closer: a box drawn on it, two ranges, three
buttons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.analysis.microscope.types import Picture, Study
from engine.analysis.microscope.zoom import covered, scaled, span_words
from engine.charts.microscope.weights import weight_map
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.live import answered, hold_place
from pages.widgets.microscope.picker import Place, zoom_to

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

HELD = 640  # pixels that the map takes, about
IN, OUT = 0.5, 2.0


def draw_lens(engine: BackgroundEngine, place: Place, recipe: Recipe, study: Study | None) -> Picture | None:
    """Draw the map, or hold its place; the picture that it shows."""
    rows, columns = (None, None) if place.whole else (place.rows, place.columns)
    view = answered(lambda: engine.picture(place.request, rows, columns))
    with st.container(border=True):
        if view.found is None and view.state != "failed":
            hold_place(
                lambda: [answered(lambda: engine.picture(place.request, rows, columns))],
                HELD,
                "The weight is being read.",
            )
        elif view.found is None:
            st.error(view.message, icon=":material/error:")
        else:
            # a box drawn on one part means nothing on another
            key = f"m.map.{span_words(place.rows)}.{span_words(place.columns)}"
            chart = weight_map(view.found, None if study is None else study.norms, _side_by_side(recipe))
            draw_chart(chart, key, select="box", on_select=lambda: _zoom_to_box(f"chart.{key}", place))
        _draw_zoom(place)
    return view.found


def _side_by_side(recipe: Recipe) -> int | None:
    """Columns of a group of an N:M pattern, where groups are of neighbours."""
    pattern = recipe.mask_pattern
    return None if pattern.permuted else pattern.group_width


def _zoom_to_box(widget: str, place: Place) -> None:
    boxes: list[dict[str, Any]] = st.session_state[widget].selection.box
    if boxes:
        box, shape = boxes[-1], place.shape
        zoom_to(shape, covered(*box["y"], shape[0]), covered(*box["x"], shape[1]))


def _draw_zoom(place: Place) -> None:
    """Ranges and buttons, which do by keyboard what the box does by pointer."""
    ranges, buttons = st.columns([3, 2], vertical_alignment="bottom", gap="medium")
    with ranges.container(horizontal=True, gap="medium"):
        _draw_range("Rows", place, 0)
        _draw_range("Columns", place, 1)
    with buttons.container(horizontal=True, gap="small"):
        for label, icon, factor in (("Closer", "zoom_in", IN), ("Farther", "zoom_out", OUT)):
            spans = (
                scaled(place.rows, place.shape[0], factor),
                scaled(place.columns, place.shape[1], factor),
            )
            still = spans == (place.rows, place.columns)
            st.button(
                label,
                key=f"m.{icon}",
                icon=f":material/{icon}:",
                disabled=still,
                on_click=zoom_to,
                args=(place.shape, *spans),
            )
        whole = ((0, place.shape[0]), (0, place.shape[1]))
        st.button(
            "All of it",
            key="m.whole",
            icon=":material/zoom_out_map:",
            disabled=place.whole,
            on_click=zoom_to,
            args=(place.shape, *whole),
        )


def _draw_range(label: str, place: Place, axis: int) -> None:
    length, span = place.shape[axis], (place.rows, place.columns)[axis]
    if length < 2:
        return
    key = f"m.range.{label}.{length}"
    st.session_state[key] = (span[0], span[1] - 1)
    st.slider(label, 0, length - 1, key=key, on_change=_take_range, args=(key, place, axis))


def _take_range(key: str, place: Place, axis: int) -> None:
    first, last = st.session_state[key]
    spans = [place.rows, place.columns]
    spans[axis] = (first, last + 1)
    zoom_to(place.shape, *spans)
