"""A question that must be answered before the answer is shown, and the summary at the end of a lesson.

The address holds the choice as a letter: `?q.outlier.mask=b`. In a class, the server holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import streamlit as st

from engine.export.handout_blocks import Question, Text
from pages.widgets.learn.classroom.membership import current_room
from pages.widgets.learn.classroom.question import draw_choices, draw_distribution
from pages.widgets.page_setup import explore
from pages.widgets.recorder import recorder


def ask(name: str, text: str, choices: Sequence[str], right: int, why: str) -> bool:
    """Ask a question, and explain the answer once the user has chosen.

    Args:
        name: `LESSON.name`; the address has it after `q.`.
        text: the question.
        choices: the answers to choose from; links contain their position, so their order is fixed.
        right: the index of the right answer.
        why: the explanation, in sentences.

    Returns:
        Whether the explanation is shown: the user has chosen or, in a class, the teacher has revealed it.
        Only then may the page draw what would give the answer away.
    """
    if (sheet := recorder()) is not None:
        sheet.add(Question(text, choices, right, why))
        return sheet.answered
    room = current_room()
    label = f":material/quiz: **{text}**"
    with st.container(border=True):
        if room is not None:
            answer, shown = draw_choices(room, name, label, choices)
        else:
            answer = _draw_choices(name, label, choices)
            shown = answer is not None
            if not shown:
                st.caption("Choose an answer to see the explanation.")
        if shown:
            _explain(choices, answer, right, why)
        if room is not None and room.view.teaches:
            draw_distribution(room, name, choices, right)
    return shown


def _draw_choices(name: str, label: str, choices: Sequence[str]) -> int | None:
    """Draw the choices; return the one in the address, None if there is none."""
    key = f"q.{name}"
    letters = ascii_lowercase[: len(choices)]
    chosen = st.query_params.get(key, "")
    # The address decides and the widget follows, so that a link shows the answer.
    st.session_state[key] = letters.index(chosen) if len(chosen) == 1 and chosen in letters else None
    st.radio(
        label,
        range(len(choices)),
        format_func=lambda index: choices[index],
        key=key,
        on_change=_write_choice,  # runs before the script, so the address already has the new choice
        args=(key,),
    )
    answer: int | None = st.session_state[key]
    return answer


def _explain(choices: Sequence[str], answer: int | None, right: int, why: str) -> None:
    """Draw the right answer and the explanation; None if it is shown before the user has chosen."""
    choice = choices[right] if choices[right].endswith(".") else f"{choices[right]}."
    if answer == right:
        st.success(f"**Right.** {why}", icon=":material/check:")
    elif answer is None:
        st.info(f"**{choice}** {why}", icon=":material/lightbulb:")
    else:
        st.info(f"**Not quite: {choice}** {why}", icon=":material/lightbulb:")


def _write_choice(key: str) -> None:
    """Write the choice into the address."""
    st.query_params[key] = ascii_lowercase[st.session_state[key]]


def draw_summary(lines: Sequence[str], method: str, fields: Mapping[str, str], label: str) -> None:
    """Draw what to remember, a link to the method, and a link to try it on a model.

    Args:
        lines: two or three sentences, Markdown.
        method: the title of a method, as the Methods page finds it.
        fields: the query parameters of Explore for the trial.
        label: what the trial is, in a few words.
    """
    if (sheet := recorder()) is not None:
        sheet.add(Text("\n".join(["**What to remember**", "", *(f"- {line}" for line in lines)])))
        return
    with st.container(border=True):
        st.markdown("**What to remember**")
        st.markdown("\n".join(f"- {line}" for line in lines))
        with st.container(horizontal=True):
            st.page_link(
                "pages/methods.py",
                label=f"{method} on the Methods page",
                icon=":material/menu_book:",
                query_params={"methods.find": method},  # the key of the search field of that page
            )
            st.page_link(explore(), label=label, icon=":material/play_arrow:", query_params=dict(fields))
