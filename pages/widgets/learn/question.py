"""A question that has to be answered before its answer is shown. The choice stands in the address as a
letter: `?q.outlier.who=b`.

The end of a lesson: what to remember, where it is explained, and where to try it on a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import streamlit as st


def remember(lines: Sequence[str], method: str, trial: Mapping[str, str], label: str) -> None:
    """Draw it.

    Args:
        lines: two or three sentences, Markdown.
        method: the title of a method, as the Methods page finds it.
        trial: what the address of Explore has to say.
        label: what is tried there, in a few words.
    """
    with st.container(border=True):
        st.markdown("**What to remember**")
        st.markdown("\n".join(f"- {line}" for line in lines))
        with st.container(horizontal=True):
            st.page_link(
                "pages/methods.py",
                label=f"{method} on the Methods page",
                icon=":material/menu_book:",
                query_params={"methods.find": method},
            )
            st.page_link(
                "pages/explore.py", label=label, icon=":material/play_arrow:", query_params=dict(trial)
            )


def ask(name: str, text: str, choices: Sequence[str], right: int, why: str) -> bool:
    """Ask, and explain once there is a choice.

    Args:
        name: `LESSON.what`, its name in the address behind `q.`.
        right: the place of the right choice.
        why: the explanation, in sentences.

    Returns:
        Whether there is a choice; what would give the answer away is drawn only then.
    """
    key = f"q.{name}"
    letters = ascii_lowercase[: len(choices)]
    chosen = st.query_params.get(key, "")
    st.session_state[key] = (
        letters.index(chosen) if len(chosen) == 1 and chosen in letters else None
    )  # the address knows, the widget follows
    with st.container(border=True):
        st.radio(
            f":material/quiz: **{text}**",
            range(len(choices)),
            format_func=lambda at: choices[at],
            key=key,
            on_change=_note,
            args=(key,),
        )
        answer: int | None = st.session_state[key]
        if answer is None:
            st.caption("Choose; the answer follows.")
        elif answer == right:
            st.success(f"**Right.** {why}", icon=":material/check:")
        else:
            st.info(f"**Not quite: {_small(choices[right])}** {why}", icon=":material/lightbulb:")
    return answer is not None


def _note(key: str) -> None:
    """Write the choice into the address."""
    st.query_params[key] = ascii_lowercase[st.session_state[key]]


def _small(choice: str) -> str:
    """A choice inside a sentence."""
    return choice if choice.endswith(".") else f"{choice}."
