"""A question in a class: an answer is counted on the server, and the teacher sees the distribution.

The engine knows what a tab has answered; the address does not, since a link must not carry answers into
someone else's tab.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.errors import ClassError
from engine.lessons.classroom import ClassView, Tally
from pages.widgets.learn.classroom.membership import Room, attempt
from pages.widgets.literal import literal

SHOWN = "class.shown"


def draw_choices(room: Room, name: str, label: str, choices: Sequence[str]) -> tuple[int | None, bool]:
    """Draw the choices and count what the student has chosen.

    Returns:
        The choice, None if there is none yet, and whether the explanation is shown to this tab.
    """
    room.question = name
    counted = room.view.chosen.get(name)
    answer: int | None = st.radio(
        label,
        range(len(choices)),
        index=counted if counted is not None and counted < len(choices) else None,
        format_func=lambda index: choices[index],
        key=f"class.{room.view.ballot}.{name}",
    )
    # Here rather than in a callback: Streamlit does not repeat a callback that another request interrupts.
    if answer is not None and answer != counted and not room.view.teaches:
        try:
            room.view = room.engine.answer_question(room.view.name, name, answer)
        except ClassError as error:
            st.warning(literal(error), icon=":material/groups:")
    shown = room.view.shows_answer(name, answer is not None)
    if not shown and not room.view.teaches:
        st.caption(_explain_wait(room.view, answered=name in room.view.chosen))
    return answer, shown


def draw_distribution(room: Room, name: str, choices: Sequence[str], right: int) -> None:
    """Draw the answers of the class, and the button that reveals the right one to all; for the teacher."""
    from engine.charts.lessons.class_answers import answer_bars
    from pages.widgets.chart import draw_chart

    def draw(view: ClassView) -> None:
        marked = right if name in view.revealed else None
        draw_chart(answer_bars(choices, view.tallies.get(name, Tally()), marked), f"class.{name}")

    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.button(
            "Revealed to the class" if name in room.view.revealed else "Reveal the answer to the class",
            key=f"class.reveal.{name}",
            icon=":material/visibility:",
            type="primary",
            disabled=name in room.view.revealed,
            on_click=attempt,
            args=(room.engine.reveal_answer, room.view.name, name),
        )
        shown = st.toggle(
            "Show the answers",
            st.session_state.get(SHOWN, True),
            key="class.show",
            help="Switch it off while students see this screen and still choose.",
        )
        st.session_state[SHOWN] = shown  # the widget forgets it on pages where it is not drawn
    if shown:
        room.draw_counts(f"answers.{name}", draw)


def _explain_wait(view: ClassView, *, answered: bool) -> str:
    """Return what a student reads in place of the explanation."""
    if not answered:
        return "Choose an answer. It is counted without a name."
    if view.guided:
        return (
            "Your answer is counted. Until your teacher reveals the right one, you can change it; then the "
            "explanation appears here."
        )
    return ""
