"""The teacher's side of a class: creating it, entering its code, the students' link, open steps, counts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import streamlit as st

from engine.lessons.classroom import ClassView
from pages.widgets.learn.classroom.membership import (
    CLASS,
    TEACHER,
    Room,
    attempt,
    draw_leave_button,
)
from pages.widgets.learn.lesson import Lesson, Step
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

CODE, NAME, GUIDED, ENTERED = "class.code", "class.name", "class.guided", "class.entered"
LINK_STYLE = "<style>.st-key-class-link code { font-size: 1.4rem; white-space: pre-wrap; }</style>"
"""Large, because students read it from a projector."""
FIELD = 420  # pixels
GUIDED_PACE = "I open the steps and reveal the answers"
OWN_PACE = "All steps are open, and each answer is explained at once"


def draw_class(room: Room | None, lessons: Sequence[Lesson]) -> None:
    """Draw the class that this tab teaches, or how to teach one."""
    if room is None:
        draw_entry()
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.header("Your class", anchor=False, width="content")
            draw_leave_button()
        room.draw_line()
        _draw_code()
        _draw_link(room.view.name)
        _draw_steps(room, lessons)
        with st.container(horizontal=True):
            titles = {lesson.name: lesson.title for lesson in lessons}
            room.draw_counts("table", lambda view: _draw_table(view, titles))
            _draw_clearing(room)


def draw_entry() -> None:
    """Draw the form that creates the class in the address, or the field for its code if it exists."""
    from pages.widgets.engine_handle import shared_engine

    engine, name = shared_engine(), st.query_params.get(CLASS, "")
    with st.container(border=True):
        if engine.find_class(name) is None:
            st.header("Teach a class", anchor=False)
            st.markdown(
                "Students open a link, without names or accounts. You see how many chose which answer, "
                "before and after you reveal the right one. Counts are kept for 30 days after their last "
                "change."
            )
            st.session_state.setdefault(NAME, name)
            with st.form("class.create", border=False):
                st.text_input(
                    "Name of the class", key=NAME, max_chars=40, placeholder="pruning-2026", width=FIELD
                )
                st.radio("Pace", (GUIDED_PACE, OWN_PACE), key=GUIDED)
                st.form_submit_button("Create the class", type="primary", on_click=_create, args=(engine,))
        else:
            st.header(f"Teach class {literal(name)}", anchor=False)
            with st.form("class.enter", border=False):
                st.text_input("Teacher's code", key=ENTERED, type="password", max_chars=40, width=FIELD)
                st.form_submit_button(
                    "Teach this class", type="primary", on_click=_enter, args=(engine, name)
                )
        draw_leave_button("Back to the lessons")


def draw_step_bar(room: Room, lesson: Lesson, step: Step) -> None:
    """Draw who is present, how many have answered, and the switch that opens this step."""
    _draw_code()  # the class may have been created here
    place = f"{lesson.name}.{step.name}"
    key = f"class.open.{place}"
    st.session_state[key] = room.view.is_open(place)  # the engine decides; the class's page changes it too

    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.toggle(
            "Step is open for the class",
            key=key,
            on_change=lambda: attempt(room.engine.set_steps, room.view.name, [place], st.session_state[key]),
        )
        room.draw_line()
        draw_leave_button()


def _draw_code() -> None:
    """Draw the teacher's code until the teacher has noted it; nothing shows it again."""
    if code := st.session_state.get(CODE):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                ":material/key: The teacher's code is shown only now. With it, you can teach this class in "
                "another tab or after a restart. **Note it down:**",
                width="stretch",
            )
            st.code(code, language=None, width="content")
            st.button("I have noted it", key="class.noted", on_click=lambda: st.session_state.pop(CODE, None))


def _draw_link(name: str) -> None:
    """Draw the link for the students."""
    url = st.context.url or ""
    st.markdown(
        f"Students open this link. A link to a step of a lesson works too, with `&{CLASS}={quote(name)}` at "
        "its end."
    )
    st.html(LINK_STYLE)
    with st.container(key="class-link"):
        st.code(f"{url}?{CLASS}={quote(name)}", language=None)
    if _is_local(url):
        st.caption(
            "This address works on this machine only. To let students in, start the app as the README says "
            "under “Run it”, and open it by this machine's name."
        )


def _draw_steps(room: Room, lessons: Sequence[Lesson]) -> None:
    """Draw the steps of all lessons; the selected ones are open."""
    with st.expander("Open and lock steps", icon=":material/lock_open:"):
        st.caption("Selected steps are open for all students.")
        for lesson in lessons:
            _draw_steps_of(room, lesson)


def _draw_steps_of(room: Room, lesson: Lesson) -> None:
    titles = {f"{lesson.name}.{step.name}": step.title for step in lesson.steps}
    key = f"class.steps.{lesson.name}"
    st.session_state[key] = [place for place in titles if room.view.is_open(place)]

    def change() -> None:
        selected = set(st.session_state[key])
        before = {place for place in titles if room.view.is_open(place)}
        for steps, opened in ((selected - before, True), (before - selected, False)):
            if steps:
                attempt(room.engine.set_steps, room.view.name, steps, opened)

    st.pills(
        lesson.title,
        list(titles),
        format_func=titles.__getitem__,
        selection_mode="multi",
        key=key,
        on_change=change,
    )


def _draw_table(view: ClassView, titles: Mapping[str, str]) -> None:
    """Draw the download of all counts; `titles` are those of the lessons by name."""
    from engine.charts.lessons.class_answers import class_table
    from engine.charts.tables import to_csv

    st.download_button(
        "Counts as CSV",
        to_csv(class_table(view.tallies, titles)),
        f"{view.name}.csv",
        "text/csv",
        key="class.csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _draw_clearing(room: Room) -> None:
    """Draw the button that deletes all counts, after a confirmation."""
    with st.popover("Clear", icon=":material/delete:"):
        st.markdown(
            "Delete all counts of this class and hide the revealed answers? Open steps stay open. This "
            "cannot be undone."
        )
        st.button(
            "Delete all counts",
            key="class.clear",
            type="primary",
            on_click=attempt,
            args=(room.engine.clear_class, room.view.name),
        )


def _create(engine: BackgroundEngine) -> None:
    """Create the class of the form and keep its code for `_draw_code`."""
    name = str(st.session_state[NAME]).strip()
    codes: list[str] = []
    guided = st.session_state[GUIDED] == GUIDED_PACE
    if attempt(lambda: codes.append(engine.create_class(name, guided=guided))):
        st.session_state[CODE] = codes[0]
        st.query_params.update({CLASS: name, TEACHER: "1"})


def _enter(engine: BackgroundEngine, name: str) -> None:
    attempt(engine.enter_class, name, st.session_state[ENTERED])


def _is_local(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
