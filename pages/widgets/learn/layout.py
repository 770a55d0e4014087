"""The layout of the lessons: the list as cards, and a step with the navigation to the others.

A step draws into two `panes`. Navigation uses buttons that write the address: a link to the current page
would leave the address unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.widgets.learn.classroom.frame import class_step, draw_class
from pages.widgets.learn.classroom.membership import CLASS, TEACHER, current_room
from pages.widgets.learn.controls import LOCK, controls_locked, navigation_locked
from pages.widgets.learn.lesson import LESSON, STEP, Lesson, step_in_address
from pages.widgets.literal import literal

CARD, PANE = 280, 430
"""Minimum widths in pixels."""


def draw_contents(lessons: Sequence[Lesson], warning: str) -> None:
    """Draw all lessons as cards."""
    st.title("Learn", anchor=False)
    st.markdown(
        "Short lessons for readers who know linear algebra but are new to pruning. "
        "Each lesson has controls to try, and asks a question before it gives the answer."
    )
    _draw_warning(warning)
    draw_class(lessons)
    grid = st.grid(3, min_column_width=CARD, border=True)
    for number, lesson in enumerate(lessons, start=1):
        with grid.cell():
            st.caption(f"Lesson {number} · {lesson.minutes} minutes")
            _draw_lesson_button(lesson.title, lesson)
            st.markdown(lesson.question)
    _ = lessons[0].steps  # imports what the lessons compute with while the user reads the list
    from pages.widgets.chart import load_ahead  # imports torch, so only after the list is drawn

    load_ahead()


def draw_lesson(lessons: Sequence[Lesson], lesson: Lesson) -> None:
    """Draw the lesson's step in the address.

    The title is drawn before the steps are imported, because that takes time.
    """
    number = lessons.index(lesson) + 1
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"Lesson {number} of {len(lessons)} · {lesson.minutes} minutes", width="content")
        _draw_lesson_button("All lessons", None)
    st.title(lesson.title, anchor=False)
    at, warning = step_in_address(lesson)
    _draw_steps(lesson, at)
    _draw_warning(warning)
    if controls_locked():
        st.caption(
            ":material/lock: A teacher has locked the controls of this page. You can still answer questions."
        )
    step = lesson.steps[at]
    with class_step(lesson, step) as may_see:
        st.header(step.title, anchor=False)
        if may_see:
            step.draw()
    _draw_navigation(lessons, lesson, at)
    _draw_handout(lesson)


def _draw_handout(lesson: Lesson) -> None:
    """Draw the button of the handout, which has the answers: in a class, only for the teacher."""
    room = current_room()
    if room is not None and not room.view.teaches:
        return
    from pages.widgets.handouts.button import draw_lesson_handout  # imports torch, as the steps do

    draw_lesson_handout(lesson)


def panes() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return two panes, for text with controls and for charts; stacked on a narrow screen."""
    grid = st.grid(2, min_column_width=PANE, gap=("small", "medium"))
    return grid.cell(), grid.cell()


def _draw_steps(lesson: Lesson, at: int) -> None:
    """Draw all steps in a line; a click opens a step."""
    key = f"learn.steps.{lesson.name}"
    st.session_state[key] = at  # the address decides; Back and Next change it too
    st.segmented_control(
        "Steps of this lesson",
        range(len(lesson.steps)),
        format_func=lambda index: f"{index + 1} · {lesson.steps[index].title}",
        key=key,
        required=True,
        disabled=navigation_locked(),
        label_visibility="collapsed",
        on_change=lambda: _open_step(lesson, st.session_state[key]),
    )


def _draw_navigation(lessons: Sequence[Lesson], lesson: Lesson, at: int) -> None:
    """Draw Back and Next; after the last step, Next opens the next lesson."""
    steps, following = lesson.steps, lessons[lessons.index(lesson) + 1 :]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.button(
            "Back",
            icon=":material/arrow_back:",
            key="learn.back",
            disabled=at == 0 or navigation_locked(),
            on_click=_open_step,
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
                disabled=navigation_locked(),
                on_click=_open_step,
                args=(lesson, at + 1),
            )
        elif following:
            _draw_lesson_button(f"Next lesson: {following[0].title}", following[0], "primary")


def _open_step(lesson: Lesson, step: int) -> None:
    st.query_params[STEP] = lesson.steps[step].name  # the name, not the index: links survive a reordering


def _draw_lesson_button(
    label: str, lesson: Lesson | None, kind: Literal["primary", "secondary"] = "secondary"
) -> None:
    """Draw the button that opens another lesson, or the list for None."""
    st.button(
        label,
        key=f"learn.open.{lesson.name if lesson else 'list'}",
        type=kind,
        icon=":material/arrow_forward:" if lesson else ":material/apps:",
        icon_position="right" if lesson else "left",
        disabled=navigation_locked(),
        on_click=_open_lesson,
        args=(lesson,),
    )


def _open_lesson(lesson: Lesson | None) -> None:
    """Replace the current lesson in the address, with all its parameters; the lock and the class are kept."""
    kept = {name: st.query_params[name] for name in (LOCK, CLASS, TEACHER) if name in st.query_params}
    # All at once: each writing is an entry in the browser's history.
    st.query_params.from_dict(kept | ({LESSON: lesson.name} if lesson else {}))


def _draw_warning(warning: str) -> None:
    if warning:
        st.warning(literal(warning), icon=":material/link_off:")
