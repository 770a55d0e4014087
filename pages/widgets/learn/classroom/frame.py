"""What surrounds the lessons in a class: a line about it for students, the controls of the teacher, and steps
that are not open yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from pages.widgets import public_mode
from pages.widgets.learn.classroom.membership import (
    PROBLEM,
    TEACHER,
    Room,
    current_room,
    draw_leave_button,
    write_address,
)
from pages.widgets.learn.lesson import Lesson, Step
from pages.widgets.literal import literal


def draw_class(lessons: Sequence[Lesson]) -> None:
    """Draw the tab's class above the list of lessons, or the way to teach one."""
    _draw_problem()
    room = current_room()
    if room is not None and not room.view.teaches:
        _draw_line(room)
    elif room is not None or TEACHER in st.query_params:
        from pages.widgets.learn.classroom import teacher

        teacher.draw_class(room, lessons)
    elif (policy := public_mode.policy()) is None or policy.classes:
        st.button(
            "Teach a class",
            key="class.teach",
            icon=":material/groups:",
            type="tertiary",
            on_click=write_address,
            args=("", True),
        )


@contextmanager
def class_step(lesson: Lesson, step: Step) -> Iterator[bool]:
    """Surround the drawing of a step with the tab's class; yield whether the tab may see the step."""
    _draw_problem()
    room = current_room()
    if room is None:
        if TEACHER in st.query_params:
            from pages.widgets.learn.classroom import teacher

            teacher.draw_entry()
        yield True
        return
    place = st.container()
    is_open = room.view.teaches or room.view.is_open(f"{lesson.name}.{step.name}")
    yield is_open
    if not is_open:
        st.info(
            "Your teacher has not opened this step yet. It appears here as soon as it is open.",
            icon=":material/lock:",
        )
    with place:  # after the step, which has said what its question is
        if room.view.teaches:
            from pages.widgets.learn.classroom import teacher

            teacher.draw_step_bar(room, lesson, step)
        else:
            _draw_line(room)


def _draw_problem() -> None:
    """Draw why something about the class did not work, once."""
    if sentence := st.session_state.pop(PROBLEM, ""):
        st.warning(literal(sentence), icon=":material/groups:")


def _draw_line(room: Room) -> None:
    """Draw what a student reads about the class."""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="class.bar"
    ):
        room.draw_line()
        draw_leave_button()
