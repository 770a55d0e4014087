"""Making sure that a page runs inside the app, and the first page as the target of links.

Until `st.navigation` has been called once in the server's process, Streamlit treats a folder named `pages` as
an app of its older kind. If the first visit to a new server goes directly to a page's address, Streamlit
would run that page alone, without the app's menu, width and title.
"""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import StreamlitPage

ENTERED = "entered"
PAGE = "page.drawn"
"""Session state: the URL path of the page that this tab has drawn last."""

HOME = "explore"  # a copy: the module of talks takes seconds to import
EXPLORE = f"pages/{HOME}.py"
ROOT = "."
"""The first page's address in links, which are relative to the current page. Streamlit's own for it is empty:
`?run=KEY` in another tab would open the current page again.
"""


def page_file(path: str) -> str:
    """Return the file of the page with this URL path, as Streamlit expects it; the first page's is empty."""
    return f"pages/{path or HOME}.py"


def explore() -> StreamlitPage:
    """Return the first page as the target of a link to it, for `st.page_link`."""
    return st.Page(EXPLORE, url_path=ROOT)


def enter() -> None:
    """Note that the app itself is running; for `app.py`."""
    st.session_state[ENTERED] = True


def enter_through_app(name: str) -> None:
    """Restart through the app if Streamlit runs this page alone; the first call of each page. `name` is its
    URL path.
    """
    if ENTERED not in st.session_state:
        # This call turns the older kind off; the rerun starts at `app.py`, which finds the page by its name.
        st.navigation(
            [
                st.Page(_nothing, title="Prunescope", default=True),
                st.Page(_nothing, title=name, url_path=name),
            ],
            position="hidden",
        )
        st.rerun()


def _nothing() -> None:
    """A page that never runs; only its address is needed."""
