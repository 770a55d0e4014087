"""The address at which this browser tab has drawn each page last: what a speaker adds to a talk without
copying links.
"""

from __future__ import annotations

import streamlit as st

from pages.widgets.page_setup import PAGE

VISITED = "visited"
"""Session state: by the URL path of a page, its parameters; several values of one are comma-separated."""


def note_address() -> None:
    """Note the address of the page that was drawn; after it, because widgets change their parameters."""
    parameters = {name: ",".join(st.query_params.get_all(name)) for name in st.query_params}
    known = visited()
    known.pop(path := st.session_state.get(PAGE, ""), None)
    st.session_state[VISITED] = {path: parameters} | known


def visited() -> dict[str, dict[str, str]]:
    """Return the parameters of the pages that this tab has drawn, the last one first."""
    return dict(st.session_state.get(VISITED, {}))
