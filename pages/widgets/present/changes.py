"""Changes of talks: their errors, and undoing the last one that removed something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from engine.errors import PrunescopeError
from engine.store.talk import Talk
from pages.widgets.present.presenter import ERROR

CHOSEN, NEXT = "present.talk", "present.next"
"""Session state: the name of the talk in the editor, and of the one that the next run chooses, if any."""
EDITED, UNDO = "present.edited", "present.undo"
"""Session state: the position of the view that is being edited, and the `Removal` that can be undone."""


@dataclass(frozen=True)
class Removal:
    """What was removed: in words, the talk as it was before, and the message that stores it again."""

    sentence: str
    before: Talk
    store: Callable[[Talk], None]


def choose_next(name: str) -> None:
    """Choose a talk from the next run of the script on: a widget cannot change after it was drawn."""
    st.session_state[NEXT] = name


def change(send: Callable[..., None], *args: object, removal: Removal | None = None) -> bool:
    """Send a change to the engine and return whether it was made; an error is shown in the next run."""
    try:
        send(*args)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
        return False
    st.session_state.pop(EDITED, None)  # positions may have changed
    st.session_state.pop(UNDO, None)
    if removal is not None:
        st.session_state[UNDO] = removal
    return True


def draw_undo() -> None:
    """Draw what was removed last, with a button that restores it."""
    removal: Removal | None = st.session_state.get(UNDO)
    # A container in any case: Streamlit closes the expander below if its position changes.
    with st.container():
        if removal is not None:
            _draw_removal(removal)


def _draw_removal(removal: Removal) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(removal.sentence, width="stretch")
        st.button("Undo", key="present.restore", icon=":material/undo:", on_click=_restore, args=(removal,))


def _restore(removal: Removal) -> None:
    if change(removal.store, removal.before):
        choose_next(removal.before.name)
