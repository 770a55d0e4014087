"""The heat map of a weight and its mask, with the controls to zoom: a box drawn on the map, two range
sliders, three buttons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.analysis.microscope.types import Picture, Study
from engine.analysis.microscope.zoom import covered, scaled, span_words
from engine.charts.microscope.weight_map import weight_map
from engine.recipe import Recipe
from pages.widgets.chart import draw_chart
from pages.widgets.live import draw_turn, live, show_error
from pages.widgets.microscope.picker import Place, zoom_to

if TYPE_CHECKING:
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine

MAP = 640  # approximate height of the map in pixels
IN, OUT = 0.5, 2.0  # factors on the visible rows and columns


def draw_lens(engine: BackgroundEngine, place: Place, recipe: Recipe, study: Study | None) -> Picture | None:
    """Draw the map or its placeholder, and return the picture that it shows."""
    rows, columns = (None, None) if place.whole else (place.rows, place.columns)
    answer = engine.picture(place.request, rows, columns)
    with st.container(border=True):
        if answer.pending:
            live(
                "microscope.map",
                lambda: engine.picture(place.request, rows, columns),
                _draw_placeholder,
                left=lambda answer: answer.pending,
                seen=answer,
            )
        elif answer.value is None:
            show_error(answer.message)
        else:
            # the key names the part, because a box selected on one part means nothing on another
            key = f"m.map.{span_words(place.rows)}.{span_words(place.columns)}"
            chart = weight_map(answer.value, None if study is None else study.norms, group_width(recipe))
            draw_chart(chart, key, select="box", on_select=lambda: _zoom_to_box(f"chart.{key}", place))
        _draw_zoom(place)
    return answer.value


def _draw_placeholder(answer: Answer[Picture]) -> None:
    st.skeleton(height=MAP)
    st.caption("The weight is being read.")
    draw_turn([answer])


def group_width(recipe: Recipe) -> int | None:
    """Return M of an N:M pattern whose groups are adjacent columns, None if there are no such groups."""
    pattern = recipe.mask_pattern
    return None if pattern.permuted else pattern.group_width  # permuted groups are scattered over the columns


def _zoom_to_box(widget: str, place: Place) -> None:
    # on_select callback: the state is set before the page runs
    boxes: list[dict[str, Any]] = st.session_state[widget].selection.box
    if boxes:
        box, shape = boxes[-1], place.shape
        zoom_to(shape, covered(*box["y"], shape[0]), covered(*box["x"], shape[1]))  # y: rows, x: columns


def _draw_zoom(place: Place) -> None:
    """Draw sliders and buttons that do with the keyboard what the box does with the pointer."""
    ranges, buttons = st.columns([3, 2], vertical_alignment="bottom", gap="medium")
    with ranges.container(horizontal=True, gap="medium"):
        _draw_range("Rows", place, 0)
        _draw_range("Columns", place, 1)
    with buttons.container(horizontal=True, gap="small"):
        for label, icon, factor in (("Zoom in", "zoom_in", IN), ("Zoom out", "zoom_out", OUT)):
            spans = (
                scaled(place.rows, place.shape[0], factor),
                scaled(place.columns, place.shape[1], factor),
            )
            unchanged = spans == (place.rows, place.columns)
            st.button(
                label,
                key=f"m.{icon}",
                icon=f":material/{icon}:",
                disabled=unchanged,
                on_click=zoom_to,
                args=(place.shape, *spans),
            )
        whole = ((0, place.shape[0]), (0, place.shape[1]))
        st.button(
            "Whole weight",
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
    key = f"m.range.{label}.{length}"  # other bounds need another widget
    st.session_state[key] = (span[0], span[1] - 1)  # spans are half-open, the slider's ends inclusive
    st.slider(label, 0, length - 1, key=key, on_change=_take_range, args=(key, place, axis))


def _take_range(key: str, place: Place, axis: int) -> None:
    first, last = st.session_state[key]
    spans = [place.rows, place.columns]
    spans[axis] = (first, last + 1)
    zoom_to(place.shape, *spans)
