"""Parts of a page that follow the engine: `live` and `live_answer` draw something now and again until it is
complete; then the whole page is redrawn, because its other parts may depend on it.

The browser requests that redraw. `st.rerun` would do it immediately, with two faults for a user who is
working on the page. It aborts the script run in which it is called, and Streamlit drops what that run has not
sent yet: a widget whose value that run set keeps its default in the browser, which sends the default back as
if the user had chosen it. And it reads the query parameters as they were when that run began, so a widget
bound to the address falls back to an older value. A request from the browser carries the values of all
widgets and waits for its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.jobs.questions import Answer
from pages.widgets.component import NOTHING
from pages.widgets.literal import literal
from pages.widgets.recorder import recorder
from pages.widgets.visited import note_address

State = TypeVar("State")
Value = TypeVar("Value")

POLL = 0.4  # seconds between two looks at something that is not complete
LONGEST = 30.0  # seconds that a handout waits for it
DRAWING_PAGE = "redraw.whole"
"""Session state: present while the whole page is being drawn."""
REQUESTED = "redraw.asked"
"""Session state: present while it is being drawn because a part requested it."""
STYLES = """<style>
[class*='st-key-unseen'], [data-testid='stLayoutWrapper']:has(> [class*='st-key-unseen']) { display: none; }
[data-testid='stElementContainer'] { opacity: 1 !important; transition: none !important; }
[data-testid='stSkeleton'] { animation: none !important; }
[data-testid='stProgressBarTrack'] * { transition: none !important; }
[data-testid='stPopover'] button[aria-expanded='true'] { color: inherit; }
</style>"""
"""The components below (their keys begin with "unseen.") take no space on the page. Streamlit fades what a
part that polls is about to redraw, its placeholders pulse, and its progress bars slide for half a second at
each poll: on a machine without a GPU the browser paints these animations with the processor that the run
computes on. The label of an open popover would be nearly black, in the dark theme too.
"""
LISTEN = st.components.v2.component(
    "redraw_listen",
    html=NOTHING,
    # A request that arrives while the server handles a click may end the click's callback half way, so it
    # waits until the app has answered all requests, but not for ever. Not a `component`: with the listener of
    # its last run alone, pages on a busy machine sometimes waited for a redraw for ever.
    js="""const POLL = 50, LONGEST = 2000; // milliseconds
    let since; // when the request that waits was made; parts that poll repeat it
    export default function ({ setTriggerValue }) {
      let timer;
      const isBusy = () => /running|rerunRequested/.test(
        document.querySelector("[data-test-script-state]")?.dataset.testScriptState
      );
      const again = () => {
        clearTimeout(timer);
        since ??= Date.now();
        if (isBusy() && Date.now() - since < LONGEST) {
          timer = setTimeout(again, POLL);
        } else {
          since = undefined;
          setTriggerValue("again", true);
        }
      };
      document.addEventListener("prunescope:redraw", again);
      return () => { clearTimeout(timer); document.removeEventListener("prunescope:redraw", again); };
    }""",
)
ASK = st.components.v2.component(
    "redraw_ask",
    html=NOTHING,
    js="""export default function () { document.dispatchEvent(new Event("prunescope:redraw")); }""",
)


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
        # A part that polls repeats this on every turn, so a request that is lost does no harm.
        if left(state) != before:
            redraw_page(part)

    # Streamlit knows a fragment by this name and its position, which may be the same on two pages.
    refresh.__qualname__ = f"{part} on {_page()}"
    # The timer is set only here, in a run of the whole page, so only such a run can start or stop it.
    st.fragment(refresh, run_every=every if before else None)()


def switch_page(page: str, parameters: Mapping[str, str]) -> None:
    """Open another page; this ends the run of the script.

    The parts of the old page are forgotten first. The browser polls them until it hears of the new page. If
    Streamlit still knew the part, a poll that arrives when the new page's run has just ended would start
    another runner, and what the old one has not sent yet would be dropped (see `AppSession.request_rerun`):
    the browser fails at the next update of the new page, and shows an empty window.
    """
    if (context := get_script_run_ctx()) is not None:
        context.fragment_storage.clear()
    st.switch_page(page, query_params=parameters)


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


@contextmanager
def whole_page() -> Iterator[None]:
    """Mark the drawing of the whole page; for `app.py`."""
    st.session_state[DRAWING_PAGE] = True
    try:
        st.html(STYLES)
        # Its callback runs before the script does, so `is_redraw` holds for all of this run.
        LISTEN(key="unseen.redraw", on_again_change=_note_request)
        yield
    finally:  # also when `st.rerun` or `st.switch_page` ends the run with an exception
        st.session_state.pop(DRAWING_PAGE, None)
        st.session_state.pop(REQUESTED, None)


def redraw_page(part: str) -> None:
    """Request a redraw of the whole page from a fragment; `part` is its name.

    While the whole page is being drawn, this does nothing: the fragment requests again on its next turn.
    """
    if is_part_drawn():
        # Data that changes every time makes the browser run the component's script, and so ask, again.
        ASK(key=f"unseen.redraw.{part}", data=time.monotonic())


def is_part_drawn() -> bool:
    """Whether a part is drawn alone, not the whole page."""
    return DRAWING_PAGE not in st.session_state


def is_redraw() -> bool:
    """Whether the page is drawn because a part requested it. The address that the browser sent with that
    request may be older than the one that was just written.
    """
    return REQUESTED in st.session_state


def _note_request() -> None:
    st.session_state[REQUESTED] = True
