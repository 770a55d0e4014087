"""A tab of Learn as part of a class: `?class=NAME` for students, and `&teacher=1` for the teacher.

The tab remembers its class, because the menu's links to other pages and back have no parameters. Whether it
teaches is the engine's to know. Open tabs follow what the teacher opens, reveals and clears. They poll a
route of the server rather than run their script: thirty tabs would need a core for that, and their browsers
more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.errors import ClassError, PrunescopeError
from pages.widgets.component import component
from pages.widgets.redraw import expect_page
from pages.widgets.server import CLASS_STATE

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.lessons.classroom import ClassView

CLASS, TEACHER = "class", "teacher"
ROOM, JOINED, PROBLEM = "class.room", "class.joined", "class.problem"
FOLLOW = component(
    "class_follow",
    Path(__file__).with_name("follow.js").read_text(encoding="utf-8"),
    html="<span></span>",
    css="span { font-family: var(--st-font); color: var(--st-text-color); }",
)


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

    def look(self) -> ClassView:
        """Return the class as it is now, or as it was last if it has ended."""
        return self.engine.find_class(self.view.name) or self.view

    def draw_line(self) -> None:
        """Draw a line about the class that keeps up with it. When the teacher has changed something, the
        browser requests a redraw of the page, as a part that polls does.
        """
        self._follow("class.line", self.view.describe(self.question), self.view)

    def draw_counts(self, part: str, draw: Callable[[ClassView], None]) -> None:
        """Draw the class now, and again as soon as a count has changed."""

        def refresh() -> None:
            view = self.look()
            draw(view)
            # In the fragment, so that only this is drawn again.
            self._follow(f"unseen.{part}", "", view, on_changed_change=lambda: None)
            expect_page(part)

        st.fragment(refresh)()

    def _follow(self, key: str, text: str, view: ClassView, **callbacks: Callable[[], None]) -> None:
        asked = {"class": view.name, "ticket": view.ticket, "question": self.question}
        data = {
            "address": f"{CLASS_STATE}?{urlencode(asked)}",
            "text": text,
            "version": self.view.version,  # that the page was drawn with
            "changes": view.changes,
            "counts": bool(callbacks),
        }
        FOLLOW(key=key, data=data, **callbacks)


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


def write_address(name: str, teaches: bool) -> None:
    """Write a class into the address; without a name only that the tab teaches one."""
    st.query_params.update(({CLASS: name} if name else {}) | ({TEACHER: "1"} if teaches else {}))


def _leave() -> None:
    st.session_state.pop(JOINED, None)
    if TEACHER in st.query_params and CLASS in st.query_params:
        # Each deletion that the browser hears of is an entry in its history, and writing the rest again is
        # not possible: a lesson's widgets own parts of it.
        with get_script_run_ctx().session_state.query_params() as address:
            address.discard_param_no_forward_msg(TEACHER)
    for name in (CLASS, TEACHER):
        st.query_params.pop(name, None)
