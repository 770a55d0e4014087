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
requests another drawing. With the drawing its address was lost, so that one begins by restoring it.

A switch to another page can be lost, too: by a request of the browser that arrives before the new page is
being drawn, and which draws the old page; or only its address, if the new page's run begins before the server
has sent that. So a switch is noted until its page is drawn, and is made, or its address sent, again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.widgets.component import NOTHING, component
from pages.widgets.page_setup import EXPLORE

DRAWING_PAGE = "redraw.whole"
"""Session state: present while the whole page is being drawn."""
REQUESTED = "redraw.asked"
"""Session state: why it is being drawn, if the browser requested that: `ASKED` or `LOST`."""
ASKED, LOST = "asked", "lost"
"""A part requested it, or the last drawing was lost."""
DRAWN = "redraw.drawn"
"""Session state: the mark of the last drawing that was not aborted. It is a time, because a count would begin
again when an open tab gets a new session.
"""
SHOWN, SWITCH, LEFT = "redraw.shown", "redraw.switch", "redraw.left"
"""Session state: the `Address` that was drawn last; the `Switch` that has not arrived; and the `Address` that
the last one left, which the browser may still send with a request.
"""
MOST_SWITCHES = 4  # of one that leads through another page, which takes two, each can be repeated once
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
      let timer, since, why; // since when a request waits
      const isBusy = () => /running|rerunRequested/.test(
        document.querySelector("[data-test-script-state]")?.dataset.testScriptState
      );
      const again = () => {
        clearTimeout(timer);
        since ??= Date.now();
        if (isBusy() && Date.now() - since < LONGEST) {
          timer = setTimeout(again, POLL);
        } else {
          setTriggerValue("again", why);
          since = why = undefined;
        }
      };
      const ask = ({ detail }) => {
        if (why !== "lost") why = detail;
        again();
      };
      document.addEventListener("prunescope:redraw", ask);
      return () => { clearTimeout(timer); document.removeEventListener("prunescope:redraw", ask); };
    }""",
)
ASK = st.components.v2.component(
    "redraw_ask",
    html=NOTHING,
    js="""export default function () {
      document.dispatchEvent(new CustomEvent("prunescope:redraw", { detail: "asked" }));
    }""",
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
        document.dispatchEvent(new CustomEvent("prunescope:redraw", { detail: "lost" }));
        timer = setTimeout(look, AGAIN);
      };
      timer = setTimeout(look, PATIENCE);
      return () => clearTimeout(timer);
    }""",
)


class Address(NamedTuple):
    """A page's file and its parameters."""

    page: str
    parameters: dict[str, list[str]]


class Switch(NamedTuple):
    """A switch that is to arrive at an address.

    Attributes:
        origin: where it began; None in a tab that has drawn nothing.
        via: where it goes first; None if it goes to the target at once.
        made: how often Streamlit was told to switch.
    """

    origin: Address | None
    target: Address
    via: Address | None
    made: int = 0


@contextmanager
def whole_page(page: str) -> Iterator[None]:
    """Mark the drawing of the whole page, from its first element to its last; for `app.py`. `page` is the
    page's file.
    """
    st.session_state[DRAWING_PAGE] = True
    try:
        st.html(STYLES)
        # Its callback runs before the script does, so `is_redraw` holds for all of this run.
        LISTEN(key="unseen.redraw", on_again_change=_note_request)
        _find_address(page)
        yield
        st.session_state[SHOWN] = _address(page)  # widgets change their parameters
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
    """Whether the page is drawn because the browser requested it, and not the user. The address that was sent
    with that request may be older than the one that was just written.
    """
    return REQUESTED in st.session_state


def switch_page(page: str, parameters: Mapping[str, str | list[str]]) -> None:
    """Open another page; this ends the run of the script. `page` is its file.

    The parts of the old page are forgotten first. The browser polls them until it hears of the new page. If
    Streamlit still knew the part, a poll that arrives when the new page's run has just ended would lose what
    the old one has not sent yet: the browser fails at the next update of the new page, and shows an empty
    window.
    """
    target = Address(page, {name: [one] if isinstance(one, str) else one for name, one in parameters.items()})
    origin: Address | None = st.session_state.get(SHOWN)
    # Widgets that own parameters of the address keep their values while their page stays, and Streamlit
    # refuses to write these parameters. Explore's widgets own none.
    stays = origin is not None and origin.page == page != EXPLORE
    _switch(Switch(origin, target, Address(EXPLORE, {}) if stays else None), origin)


def _switch(switch: Switch, here: Address | None) -> None:
    st.session_state[SWITCH] = switch._replace(made=switch.made + 1)
    if (context := get_script_run_ctx()) is not None:
        context.fragment_storage.clear()
    page, parameters = switch.target if switch.via in (None, here) else switch.via
    st.switch_page(page, query_params=parameters)


def _find_address(page: str) -> None:
    """Go where the last switch or the last drawing was, if this run of the script is not there."""
    here, shown = _address(page), st.session_state.get(SHOWN)
    switch: Switch | None = st.session_state.pop(SWITCH, None)
    if switch is not None and here == switch.target:
        _write(here)  # again: what the switch has sent may have been dropped
        st.session_state[LEFT] = switch.origin
    elif switch is not None and here in (switch.origin, switch.via) and switch.made < MOST_SWITCHES:
        _switch(switch, here)
    elif switch is None and REQUESTED not in st.session_state:  # the user has come here
        st.session_state.pop(LEFT, None)
    elif shown not in (None, here) and (
        st.session_state.get(REQUESTED) == LOST or here == st.session_state.get(LEFT)
    ):
        if shown.page != page:
            _switch(Switch(here, shown, None), here)
        _write(shown)
    st.session_state[SHOWN] = _address(page)


def _address(page: str) -> Address:
    return Address(page, {name: st.query_params.get_all(name) for name in st.query_params})


def _write(address: Address) -> None:
    with suppress(StreamlitAPIException):  # a widget on the page owns a parameter, and writes it
        st.query_params.from_dict(address.parameters)


def _note_request() -> None:
    request = st.session_state.get("unseen.redraw")
    st.session_state[REQUESTED] = (request or {}).get("again") or ASKED
