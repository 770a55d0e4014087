"""Redraws of the whole page that a part of it requests, because the rest depends on what the part has learnt.

The browser makes the request. `st.rerun` would redraw immediately, with two faults for a user who is
working on the page. It aborts the script run in which it is called, and Streamlit drops what that run has not
sent yet: a widget whose value that run set keeps its default in the browser, which sends the default back as
if the user had chosen it. And it reads the query parameters as they were when that run began, so a widget
bound to the address falls back to an older value. A request from the browser carries the values of all
widgets and waits for its turn.

A drawing can be lost on its way to the browser. If a part polls just when a drawing has ended, Streamlit
starts another run of the script and drops what it has not sent of the last one (`AppSession.request_rerun`
says so). On a busy machine that may be the whole page, which would then wait for ever. So a drawing ends with
a mark, parts that poll tell the browser how new a mark it must have received, and without it the browser
requests another drawing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.widgets.component import NOTHING, component

DRAWING_PAGE = "redraw.whole"
"""Session state: present while the whole page is being drawn."""
REQUESTED = "redraw.asked"
"""Session state: present while it is being drawn because a part requested it."""
DRAWN = "redraw.drawn"
"""Session state: the mark of the last drawing that was not aborted. It is a time, because a count would begin
again when an open tab gets a new session.
"""
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
LISTEN = component(
    "redraw_listen",
    # A request that arrives while the server handles a click may end the click's callback half way, so it
    # waits until the app has answered all requests, but not for ever.
    """const POLL = 50, LONGEST = 2000; // milliseconds
    // A request that waits is dropped when a drawing starts this again; parts that still need one repeat it.
    function start({ setTriggerValue }) {
      let timer, since; // since when a request waits
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
MARK = st.components.v2.component(
    "redraw_mark",
    html=NOTHING,
    js="export default function ({ data }) { document.documentElement.dataset.prunescopeDrawn = data; }",
)
EXPECT = component(
    "redraw_expect",
    # Until a request is answered, it is repeated: its drawing may be lost, too.
    """const PATIENCE = 1000, AGAIN = 3000; // milliseconds
    function start({ data }) {
      let timer;
      const look = () => {
        if (Number(document.documentElement.dataset.prunescopeDrawn) >= data) return;
        document.dispatchEvent(new Event("prunescope:redraw"));
        timer = setTimeout(look, AGAIN);
      };
      timer = setTimeout(look, PATIENCE);
      return () => clearTimeout(timer);
    }""",
)


@contextmanager
def whole_page() -> Iterator[None]:
    """Mark the drawing of the whole page, from its first element to its last; for `app.py`."""
    st.session_state[DRAWING_PAGE] = True
    try:
        st.html(STYLES)
        # Its callback runs before the script does, so `is_redraw` holds for all of this run.
        LISTEN(key="unseen.redraw", on_again_change=_note_request)
        yield
        st.session_state[DRAWN] = time.time()
        MARK(key="unseen.mark", data=st.session_state[DRAWN])
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


def expect_page(part: str) -> None:
    """Have the browser request a redraw if it has not received all of the page's last drawing; for every
    fragment that is drawn without a click. `part` is its name.
    """
    if is_part_drawn() and DRAWN in st.session_state:
        EXPECT(key=f"unseen.expect.{part}", data=st.session_state[DRAWN])


def is_part_drawn() -> bool:
    """Whether a part is drawn alone, not the whole page."""
    return DRAWING_PAGE not in st.session_state


def is_redraw() -> bool:
    """Whether the page is drawn because a part requested it. The address that the browser sent with that
    request may be older than the one that was just written.
    """
    return REQUESTED in st.session_state


def switch_page(page: str, parameters: Mapping[str, str]) -> None:
    """Open another page; this ends the run of the script.

    The parts of the old page are forgotten first. The browser polls them until it hears of the new page. If
    Streamlit still knew the part, a poll that arrives when the new page's run has just ended would lose what
    the old one has not sent yet: the browser fails at the next update of the new page, and shows an empty
    window.
    """
    if (context := get_script_run_ctx()) is not None:
        context.fragment_storage.clear()
    st.switch_page(page, query_params=parameters)


def _note_request() -> None:
    st.session_state[REQUESTED] = True
