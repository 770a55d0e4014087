"""Values that the app gives to widgets, until the browser has them.

The browser sends the values of all widgets with each request. If a request cuts a run of the page short, it
may carry the value that a widget had before that run set it, as if the user had chosen it.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

UNSENT = "widgets.unsent"
"""Session state: by a widget's key, the value that the browser has and the one that the app has set, of those
set since a run of the page reached its end.
"""


def set_value(key: str, value: Any) -> None:
    """Have a widget show a value; before it is drawn, or in a callback."""
    unsent = st.session_state.setdefault(UNSENT, {})
    in_browser, _ = unsent.get(key, (st.session_state.get(key), None))
    unsent[key] = (in_browser, value)
    st.session_state[key] = value


def restore_unsent() -> None:
    """Set values again that a request has overwritten because the browser has not got them. Call this before
    reading a widget, in callbacks too.
    """
    for key, (in_browser, value) in st.session_state.get(UNSENT, {}).items():
        if st.session_state.get(key) == in_browser:
            st.session_state[key] = value


def note_sent() -> None:
    """Note that a run of the page has reached its end: the browser gets all that it has set."""
    st.session_state.pop(UNSENT, None)
