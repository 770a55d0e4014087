"""Parts of a page that follow the engine: `live` and `live_answer` draw something now and again until it is
complete; then the whole page is redrawn, because its other parts may depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.jobs.questions import Answer
from pages.widgets.literal import literal
from pages.widgets.recorder import recorder
from pages.widgets.redraw import expect_page, is_part_drawn, redraw_page
from pages.widgets.visited import note_address

State = TypeVar("State")
Value = TypeVar("Value")

POLL = 0.4  # seconds between two looks at something that is not complete
LONGEST = 30.0  # seconds that a handout waits for it


def live(
    part: str,
    ask: Callable[[], State],
    draw: Callable[[State], None],
    *,
    left: Callable[[State], int],
    every: float = POLL,
    seen: State | None = None,
) -> None:
    """Draw what `ask` returns, repeatedly while something is left to come, then redraw the page.

    The part is a Streamlit fragment: it redraws alone, on its timer and when the user changes a widget in it.
    Example, several runs of which each redraws the page when it ends:

        live(
            "compare.runs",
            lambda: [engine.view(key) for key in keys],
            draw_progress,
            left=lambda views: sum(view.active for view in views),
        )

    Args:
        part: the part's name, unique on the page.
        ask: returns the current state; called once here, unless there is `seen`, and once per drawing.
        draw: draws the state into the fragment, whether it is complete or not.
        left: what is still to come, as a number: the part polls if it is not 0, and redraws the whole page
            as soon as it differs from when the page was drawn. It is called after `draw`.
        every: seconds between two polls.
        seen: the state by which the page decided to draw this part, if it asked before. What has come since
            then would otherwise count as drawn, and the part would wait for it for ever.
    """
    if recorder() is not None:
        draw(completed(ask, left, every))
        return
    before = int(left(ask() if seen is None else seen))  # as the page saw it; `left` may return a bool

    def refresh() -> None:
        state = ask()
        draw(state)
        if is_part_drawn():
            note_address()  # a widget in the part may have changed it
        expect_page(part)
        # A part that polls repeats this on every turn, so a request that is lost does no harm.
        if left(state) != before:
            redraw_page(part)

    # Streamlit knows a fragment by this name and its position, which may be the same on two pages.
    refresh.__qualname__ = f"{part} on {_page()}"
    # The timer is set only here, in a run of the whole page, so only such a run can start or stop it.
    st.fragment(refresh, run_every=every if before else None)()


def _page() -> str:
    """Return Streamlit's name of the page that is being drawn."""
    context = get_script_run_ctx()
    return context.page_script_hash if context is not None else ""


def completed(ask: Callable[[], State], left: Callable[[State], int], every: float = POLL) -> State:
    """Return the state once nothing is left to come, or after `LONGEST`."""
    end = time.monotonic() + LONGEST
    while left(state := ask()) and time.monotonic() < end:
        time.sleep(every)
    return state


def live_answer(
    part: str,
    ask: Callable[[], Answer[Value]],
    draw: Callable[[Value], None],
    *,
    waiting: Callable[[], None],
    failed: Callable[[str], None] | None = None,
    every: float = POLL,
) -> None:
    """Draw the answer to a question to the engine as soon as it is there, then redraw the page. Example:

        live_answer(
            "overlap",
            lambda: engine.overlap(one, other),
            draw_overlaps,
            waiting=lambda: st.caption("The masks are being compared."),
        )

    Args:
        part: the part's name, unique on the page.
        ask: asks the engine.
        draw: draws the answer's value.
        waiting: draws a placeholder while the answer is pending.
        failed: draws why there is no answer; the default is an error box.
        every: seconds between two polls.
    """

    def show(answer: Answer[Value]) -> None:
        if answer.pending:
            waiting()
            draw_turn([answer])
        elif answer.value is None:
            (failed or show_error)(answer.message)
        else:
            draw(answer.value)

    live(part, ask, show, left=lambda answer: answer.pending, every=every)


def draw_turn(answers: Iterable[Answer[Any]]) -> None:
    """Say that the engine answers other questions first, if one of these waits for that."""
    ahead = max((answer.ahead for answer in answers if answer.pending), default=0)
    if ahead:
        others = "another question" if ahead == 1 else f"{ahead} other questions"
        st.caption(f":material/hourglass_top: The engine is busy with {others}. This one is next.")


def show_error(message: str) -> None:
    st.error(literal(message), icon=":material/error:")
