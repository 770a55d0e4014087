"""The way into a page.

Streamlit takes a folder named `pages` for its older kind of app until `st.navigation` has been called once in
the server's process. The first visit to a fresh server would therefore run a page alone if it goes straight
to that page's address: without the app's menu, width and title.
"""

from __future__ import annotations

import streamlit as st

ENTERED = "entered"


def enter() -> None:
    """Say that the app itself is running; for `app.py`."""
    st.session_state[ENTERED] = True


def enter_through_app(name: str) -> None:
    """Run the app, which runs this page, where Streamlit has not; for the first line of a page that has an
    address of its own, its `name`.
    """
    if ENTERED not in st.session_state:
        st.navigation(
            [
                st.Page(_nothing, title="Prunescope", default=True),
                st.Page(_nothing, title=name, url_path=name),
            ],
            position="hidden",
        )
        st.rerun()


def _nothing() -> None:
    """A page that is never run: only its address is needed."""
