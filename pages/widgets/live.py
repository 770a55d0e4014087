"""Having the whole page drawn again, from a part of it that is drawn by itself: when what it waits for is
there, the rest has to follow.

The browser asks for it. A bare rerun would do so at once, with two things that go wrong while somebody uses
the page: it cuts off the run that it is called in, and Streamlit forgets what that run has not yet sent, so
that a widget whose value was set in it stands in the browser at its default and sends that back as a person's
choice; and it reads the address as it was when that run began, so that a widget that is bound to the address
falls back to where it was then. A request of the browser's carries what all widgets hold and comes in its
turn.

Asking the worker about a linear and waiting for the answer: a place is held for it, and the page is drawn
again when it has come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.views import Found, InspectionView

WHOLE = "redraw.whole"
"""There while the whole page is drawn."""
ASKED = "redraw.asked"
"""There while that is because a part asked for it."""
NOTHING = "<span hidden></span>"
UNSEEN = "<style>[class*='st-key-unseen'] { display: none; }</style>"
"""What asks and what listens (a key that begins with "unseen.") takes no place on the page."""
LISTEN = st.components.v2.component(
    "redraw_listen",
    html=NOTHING,
    js="""export default function ({ setTriggerValue }) {
      const again = () => setTriggerValue("again", true);
      document.addEventListener("prunescope:redraw", again);
      return () => document.removeEventListener("prunescope:redraw", again);
    }""",
)
ASK = st.components.v2.component(
    "redraw_ask",
    html=NOTHING,
    js="""export default function () { document.dispatchEvent(new Event("prunescope:redraw")); }""",
)


@contextmanager
def whole_page() -> Iterator[None]:
    """Around the drawing of the whole page; for `app.py`."""
    st.session_state[WHOLE] = True
    try:
        st.html(UNSEEN)
        LISTEN(key="unseen.redraw", on_again_change=_drawn_again)
        yield
    finally:
        st.session_state.pop(WHOLE, None)
        st.session_state.pop(ASKED, None)


def redraw_page(part: str) -> None:
    """Have the whole page drawn again; for a part that is drawn by itself again and again, whose name is
    `part`.

    What is called while the whole page is drawn does nothing: the part's next turn, by itself, asks again.
    """
    if WHOLE not in st.session_state:
        ASK(key=f"unseen.redraw.{part}", data=time.monotonic())


def is_redraw() -> bool:
    """Whether the page is drawn because a part asked for it. The address that comes with it may be older than
    the one that was just written.
    """
    return ASKED in st.session_state


def _drawn_again() -> None:
    st.session_state[ASKED] = True


POLL = 0.4


def answered(ask: Callable[[], InspectionView[Found]]) -> InspectionView[Found]:
    """What is known so far; what the engine refuses is a failure like any other."""
    try:
        return ask()
    except PrunescopeError as error:
        return InspectionView("failed", message=str(error))


def hold_place(ask: Callable[[], Sequence[InspectionView[Any]]], height: int, words: str) -> None:
    """An empty place until all answers are there; then the page is drawn again with them."""
    st.fragment(_wait, run_every=POLL)(ask, height, words)


def _wait(ask: Callable[[], Sequence[InspectionView[Any]]], height: int, words: str) -> None:
    if all(view.state != "pending" for view in ask()):
        redraw_page("microscope.asking")
    st.skeleton(height=height)
    st.caption(words)
