"""A tab of Learn as part of a class: `?class=NAME` for students, and `&teacher=1` for the teacher.

The tab remembers its class, because the menu's links to other pages and back have no parameters. Whether it
teaches is the engine's to know. Open tabs poll, so they follow what the teacher opens, reveals and clears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import ClassError, PrunescopeError
from engine.numbers import plural
from pages.widgets.live import live

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.lessons.classroom import ClassView

CLASS, TEACHER = "class", "teacher"
ROOM, JOINED, PROBLEM = "class.room", "class.joined", "class.problem"
POLL = 1.0  # seconds between two looks of a tab at its class


@dataclass
class Room:
    """The class of this tab during one run of the page.

    Attributes:
        view: the class as this tab may see it.
        question: the question of the step that is drawn, `LESSON.QUESTION`; empty if it has none.
    """

    engine: BackgroundEngine
    view: ClassView
    question: str = ""

    def look(self) -> ClassView | None:
        """Return the class as it is now; None if it has ended."""
        try:
            return self.engine.attend_class(self.view.name)
        except ClassError:
            return None

    def follow(self, part: str, draw: Callable[[ClassView], None], every: float = POLL) -> None:
        """Draw the class now and again; redraw the page when the teacher has changed something."""
        live(
            part,
            self.look,
            lambda view: draw(view) if view is not None else None,
            left=lambda view: view.version if view is not None else 0,
            every=every,
            seen=self.view,
        )


def current_room() -> Room | None:
    """Return the class of this tab; None if it has none."""
    room: Room | None = st.session_state.get(ROOM)
    return room


def join_class() -> None:
    """Join the class in the address, or the one that this tab joined before; first of all on the page."""
    name, teaches = st.query_params.get(CLASS, ""), TEACHER in st.query_params
    if not name and not teaches and JOINED in st.session_state:
        name, teaches = st.session_state[JOINED]
        write_address(name, teaches)
    st.session_state[ROOM] = None
    if not name:
        return
    from pages.widgets.engine_handle import shared_engine  # takes seconds, so only for a class

    engine = shared_engine()
    try:
        # A teacher's tab in which the code has not been entered is not a student.
        view = engine.find_class(name) if teaches else engine.attend_class(name)
        if view is not None and (view.teaches or not teaches):
            st.session_state[ROOM] = Room(engine, view)
            st.session_state[JOINED] = (name, teaches)
    except ClassError as error:
        st.session_state[PROBLEM] = str(error)
        st.session_state.pop(JOINED, None)


def attempt(send: Callable[..., object], *args: object, **named: object) -> bool:
    """Send a message about the class to the engine, in a callback; return whether it was accepted."""
    try:
        send(*args, **named)
    except PrunescopeError as error:
        st.session_state[PROBLEM] = str(error)
        return False
    return True


def draw_leave_button(label: str = "Leave the class") -> None:
    """Draw the button with which a tab leaves its class."""
    st.button(label, key="class.leave", icon=":material/logout:", type="tertiary", on_click=_leave)


def describe_answers(view: ClassView, question: str) -> str:
    """Return how many answers the class has given to a question, or to all if there is none."""
    totals = [view.totals.get(question, (0, 0))] if question else list(view.totals.values())
    before, after = (sum(counts) for counts in zip(*totals, strict=True)) if totals else (0, 0)
    return f"{plural(before, 'answer')} so far" + (f", {after:,} after the reveal" if after else "")


def write_address(name: str, teaches: bool) -> None:
    """Write a class into the address; without a name only that the tab teaches one."""
    if name:
        st.query_params[CLASS] = name
    if teaches:
        st.query_params[TEACHER] = "1"


def _leave() -> None:
    st.session_state.pop(JOINED, None)
    for name in (CLASS, TEACHER):
        st.query_params.pop(name, None)
