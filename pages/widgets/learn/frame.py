"""The frame of the lessons: the list of them as cards, and one step with the way to the others. A step draws
into two `panes`.

Ways are buttons that write the address: a link to the page that one is on would leave the address as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from pages.widgets.learn.controls import LOCK, locked, way_locked
from pages.widgets.learn.lesson import LESSON, STEP, Lesson, chosen_step

CARD, PANE = 280, 430
"""Least widths in pixels."""


def draw_contents(lessons: Sequence[Lesson], complaint: str) -> None:
    """All lessons as cards."""
    st.title("Learn", anchor=False)
    st.markdown(
        "Short lessons for people who know linear algebra and have never pruned. Each has something to move, and asks before it answers."
    )
    _warn(complaint)
    grid = st.grid(4, min_column_width=CARD, border=True)
    for number, lesson in enumerate(lessons, start=1):
        with grid.cell():
            st.caption(f"Lesson {number} · {lesson.minutes} minutes")
            _draw_door(lesson.title, lesson)
            st.markdown(lesson.question)
    _ = lessons[0].steps  # while the list is read, what the lessons compute with is imported
    from pages.widgets.chart import load_ahead  # (behind the list: it imports torch)

    load_ahead()


def draw_lesson(lessons: Sequence[Lesson], lesson: Lesson) -> None:
    """The step of a lesson that the address asks for, below the line of its steps; the title stands before
    what takes time to import.
    """
    number = lessons.index(lesson) + 1
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"Lesson {number} of {len(lessons)} · {lesson.minutes} minutes", width="content")
        _draw_door("All lessons", None)
    st.title(lesson.title, anchor=False)
    at, complaint = chosen_step(lesson)
    _draw_line(lesson, at)
    _warn(complaint)
    if locked():
        st.caption(
            ":material/lock: A teacher has locked the controls of this page. Questions can be answered."
        )
    step = lesson.steps[at]
    st.subheader(step.title, anchor=False)
    step.draw()
    _draw_way(lessons, lesson, at)


def panes() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two places side by side, for text with controls and for the drawing; one above the other on a narrow
    screen.
    """
    grid = st.grid(2, min_column_width=PANE, gap=("small", "medium"))
    return grid.cell(), grid.cell()


def _draw_line(lesson: Lesson, at: int) -> None:
    """All steps in a line; each leads to itself."""
    key = f"learn.steps.{lesson.name}"
    st.session_state[key] = at
    st.segmented_control(
        "Steps of this lesson",
        range(len(lesson.steps)),
        format_func=lambda place: f"{place + 1} · {lesson.steps[place].title}",
        key=key,
        required=True,
        disabled=way_locked(),
        label_visibility="collapsed",
        on_change=lambda: _go(lesson, st.session_state[key]),
    )


def _draw_way(lessons: Sequence[Lesson], lesson: Lesson, at: int) -> None:
    """Back and on: to the next step, behind the last to the next lesson."""
    steps, following = lesson.steps, lessons[lessons.index(lesson) + 1 :]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.button(
            "Back",
            icon=":material/arrow_back:",
            key="learn.back",
            disabled=at == 0 or way_locked(),
            on_click=_go,
            args=(lesson, at - 1),
        )
        st.caption(f"Step {at + 1} of {len(steps)}", width="content")
        if at + 1 < len(steps):
            st.button(
                f"Next: {steps[at + 1].title}",
                icon=":material/arrow_forward:",
                icon_position="right",
                key="learn.next",
                type="primary",
                disabled=way_locked(),
                on_click=_go,
                args=(lesson, at + 1),
            )
        elif following:
            _draw_door(f"Next lesson: {following[0].title}", following[0], "primary")


def _go(lesson: Lesson, step: int) -> None:
    st.query_params[STEP] = lesson.steps[step].name


def _draw_door(
    label: str, lesson: Lesson | None, kind: Literal["primary", "secondary"] = "secondary"
) -> None:
    """The way to another lesson, or to the list."""
    st.button(
        label,
        key=f"learn.open.{lesson.name if lesson else 'list'}",
        type=kind,
        icon=":material/arrow_forward:" if lesson else ":material/apps:",
        icon_position="right" if lesson else "left",
        disabled=way_locked(),
        on_click=_open,
        args=(lesson,),
    )


def _open(lesson: Lesson | None) -> None:
    """Leave what the address says of the lesson that is open; what a teacher has locked goes along."""
    for name in set(st.query_params) - {LOCK}:
        with suppress(
            StreamlitAPIException
        ):  # a control's own value leaves the address when the control is no longer drawn
            del st.query_params[name]
    if lesson:
        st.query_params[LESSON] = lesson.name


def _warn(complaint: str) -> None:
    if complaint:
        st.warning(complaint, icon=":material/link_off:")
