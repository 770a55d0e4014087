"""A talk in this browser tab: presented, in larger type and without sidebar and menu, or as the speaker's
notes. Both step through its views by the arrow keys or a remote, and move together.

`?present=3` starts a tab at the third view of the talk that was changed last, `?talk=NAME&present=3` at that
of the talk NAME. The address then stays that of the current page, so it can still be shared.
`/present?talk=NAME&notes=1` shows the notes. With `&room=WORD`, only tabs with the same word move together.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from engine.errors import PrunescopeError
from pages.widgets.component import component
from pages.widgets.literal import literal
from pages.widgets.live import live
from pages.widgets.page_setup import page_file
from pages.widgets.public_mode import visitor
from pages.widgets.redraw import switch_page
from pages.widgets.visited import visited

if TYPE_CHECKING:
    from engine.jobs.presentations import Presentation
    from engine.jobs.service import BackgroundEngine
    from engine.store.talk import View

HERE = Path(__file__).parent
PRESENT, NOTES, TALK, ROOM = "present", "notes", "talk", "room"
"""Parameters of the address."""
WINDOW, OPENED, FOLLOWED, ERROR = "talk.window", "talk.opened", "talk.asked", "talk.error"
"""Session state: the `Window`, while there is one; the view that was opened last; the address that was
followed last; and the last error, shown once.
"""
POLL = 0.5  # seconds
LONGEST_ROOM = 64
KEYS = component("presenter_keys", (HERE / "presenter.js").read_text(encoding="utf-8"))
STYLE = f"<style>{(HERE / 'presenter.css').read_text(encoding='utf-8')}</style>"


@dataclass
class Window:
    """What this tab shows of a talk.

    Attributes:
        name, room: of the presentation.
        shows_notes: whether it shows the notes and not the views.
        now: the presentation as this run of the script draws it.
    """

    name: str
    room: str
    shows_notes: bool
    now: Presentation

    @property
    def last(self) -> int:
        return len(self.now.talk.views) - 1

    @property
    def view(self) -> View:
        return self.now.talk.views[self.now.position]


def is_presenting() -> bool:
    """Return whether this browser tab is in presentation mode."""
    window = _window()
    return window is not None and not window.shows_notes


def has_talk() -> bool:
    """Return whether this browser tab presents a talk or shows its notes."""
    return _window() is not None


def notes_window() -> Window | None:
    """Return what this browser tab shows if it shows a speaker's notes."""
    window = _window()
    return window if window is not None and window.shows_notes else None


def room_of(engine: BackgroundEngine) -> str:
    """Return the room of this tab: the one in the address; in public mode otherwise one of its own."""
    room = st.session_state.get(ROOM) or st.query_params.get(ROOM, "")[:LONGEST_ROOM]
    if not room and engine.public is not None:
        room = st.session_state.setdefault(ROOM, secrets.token_urlsafe(12))
    return str(room)


def listen_for_keys() -> None:
    """Find out where the talk is, and mount the component that sends key presses; `app.py` calls this first.

    It is mounted even without a talk, so that the first key of a talk is not lost. It comes first because a
    script run that is cancelled before it reaches a component loses what the component has sent.
    """
    window = _follow()
    # as `presenter.js` reads it: position and last position, from 0, and whether Escape ends the talk
    data = None if window is None else [window.now.position, window.last, not window.shows_notes]
    KEYS(key="unseen.keys", data=data, on_to_change=_on_key, on_end_change=_on_key)


def start_from_address(page: StreamlitPage) -> None:
    """Start presenting, or go to the page with the notes, if the address says so; `app.py` calls this before
    it draws a page.
    """
    if _wants_notes():
        if page.url_path != PRESENT:
            switch_page("pages/present.py", st.query_params.to_dict())
        return
    position = st.query_params.get(PRESENT, "")
    requested = (position, st.query_params.get(TALK), st.query_params.get(ROOM))
    # A request that was already followed must not restart the talk on every rerun.
    if re.fullmatch("[0-9]{1,9}", position) and st.session_state.get(FOLLOWED) != requested:
        st.session_state[FOLLOWED] = requested
        # Importing the engine takes seconds, so it waits until a talk really starts.
        from pages.widgets.engine_handle import shared_engine

        engine = shared_engine()
        name = st.query_params.get(TALK) or engine.latest_talk()
        start(engine, name, int(position) - 1)  # the address counts views from 1
        draw_error()


def start(engine: BackgroundEngine, name: str, position: int | None = None) -> None:
    """Present a talk from the view with this index; without one, where other windows are that present it, or
    from its beginning.
    """
    room = room_of(engine)
    try:
        engine.start_talk(name, room, visitor(), position)
        now = engine.presentation(name, room, visitor())
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
        return
    if now.talk.views:
        st.session_state.pop(OPENED, None)
        st.session_state[WINDOW] = Window(name, room, False, now)


def look(window: Window) -> Presentation:
    """Return where the talk of a window is now."""
    from pages.widgets.engine_handle import shared_engine  # see `start_from_address`

    try:
        return shared_engine().presentation(window.name, window.room, "" if window.shows_notes else visitor())
    except PrunescopeError:  # the talk was deleted after the server had forgotten that it is presented
        return window.now


def version_ahead(now: Presentation) -> int:
    """Return 2 if another window has moved the talk away from what this tab shows, 1 if not, as `live` wants
    it. A part of the page that was drawn for an earlier view must not request a redraw after this tab itself
    has moved: it would interrupt the next press of a key.
    """
    window = _window()
    return 1 + (window is not None and window.now.version != now.version)


def end() -> None:
    """Leave presentation mode."""
    from pages.widgets.engine_handle import shared_engine  # see `start_from_address`

    window = _window()
    if window is not None:
        shared_engine().leave_talk(window.name, window.room, visitor())
        st.session_state.pop(WINDOW)


def draw_presenter() -> None:
    """Draw the style and the bar at the bottom, and open the current view if it has changed.

    `app.py` calls this before it draws the page. Without a talk it draws nothing.
    """
    window = _window()
    if window is None:
        return
    st.html(STYLE)
    if not window.shows_notes:
        _open_view(window)
        live(
            "talk.follow",
            lambda: look(window),
            lambda now: None,
            left=version_ahead,
            every=POLL,
            seen=window.now,
        )
    position = window.now.position
    # A row and no columns, in which the words of the buttons would be cut off on a small screen.
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="talk-bar"):
        # The buttons carry the target, not a step, so that a repeated click cannot skip a view.
        st.button(
            "Back",
            key="talk.back",
            icon=":material/arrow_back:",
            on_click=_go_to,
            args=(position - 1,),
            disabled=position == 0,
        )
        st.markdown(
            f"**{position + 1} of {window.last + 1}** · {literal(window.view.title)}",
            width="stretch",
            text_alignment="center",
        )
        st.button(
            "Next",
            key="talk.next",
            icon=":material/arrow_forward:",
            on_click=_go_to,
            args=(position + 1,),
            disabled=position == window.last,
        )
        if not window.shows_notes:
            st.button("End", key="talk.end", icon=":material/close:", on_click=end)


def is_requested() -> bool:
    """Return whether the address asks to present a talk or to show its notes; `draw_error` says why not."""
    return PRESENT in st.query_params or NOTES in st.query_params


def draw_error() -> None:
    """Draw why a talk could not be started or changed, once."""
    if message := st.session_state.pop(ERROR, ""):
        st.error(literal(message), icon=":material/error:")


def _window() -> Window | None:
    found: Window | None = st.session_state.get(WINDOW)
    return found


def _wants_notes() -> bool:
    return st.query_params.get(NOTES) == "1"


def _follow() -> Window | None:
    """Bring this tab to where the other windows are, and return it; None without a talk."""
    window = _window()
    if _wants_notes():
        window = _notes_window()
    elif window is not None and window.shows_notes:  # another page was opened in its tab
        window = None
    elif window is not None:
        window.now = look(window)
    if window is not None and window.now.talk.views:
        st.session_state[WINDOW] = window
        return window
    st.session_state.pop(WINDOW, None)
    return None


def _notes_window() -> Window | None:
    from pages.widgets.engine_handle import shared_engine  # see `start_from_address`

    engine = shared_engine()
    name, room = st.query_params.get(TALK) or engine.latest_talk(), room_of(engine)
    try:
        return Window(name, room, True, engine.presentation(name, room))
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
        return None


def _on_key() -> None:
    pressed = st.session_state.get("unseen.keys")
    window = _window()
    if window is None or pressed is None:  # Streamlit repeated the press, or the run was cancelled
        return
    if pressed.get("end") and not window.shows_notes:
        end()
    elif pressed.get("to") is not None:
        _go_to(int(pressed["to"]))


def _go_to(position: int) -> None:
    from pages.widgets.engine_handle import shared_engine

    window = _window()
    if window is not None:
        shared_engine().go_to_view(window.name, window.room, position)


def _open_view(window: Window) -> None:
    """Switch to the page of the current view, unless it was opened last."""
    from engine.store.talk import HOME_PAGE  # imports torch, as in `start_from_address`

    view = window.view
    opened = (window.now.position, view.page, view.parameters)
    if st.session_state.get(OPENED) == opened:
        return
    # Before the switch, which ends this run: the next one would switch again.
    st.session_state[OPENED] = opened
    # Where the view's address says nothing, the page would keep what was chosen on it in this tab. A widget
    # that owns a parameter has the parameter's name as its key.
    chosen = ("fields", "run") if view.page == HOME_PAGE else visited().get(view.page, ())
    for name in chosen:
        st.session_state.pop(name, None)
    switch_page(page_file(view.page), view.parameters)
