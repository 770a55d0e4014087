"""The browser's address bar: what Explore writes to it, and whether the user has gone to what it holds.

A request of the browser carries the address that it holds, which may be older than the one that was written
last: that one may still be on its way. Streamlit adds an entry to the browser's history for each address that
differs from the one there, and while it follows Back or Forward, it replaces that entry.
"""

from __future__ import annotations

import time

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.widgets.redraw import is_redraw

ADDRESSES = "addresses"
"""Session state: the addresses that the browser may hold, from that of its last request to the newest."""
WRITTEN = "addresses.written"
"""Session state: when the last one was written, on the monotonic clock in seconds."""
ARRIVES = 2.0
"""Seconds after which an address that was written is in the browser."""

Query = dict[str, str]


def went_through_history() -> bool:
    """Return whether the browser's Back or Forward has started this run of the script."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def is_elsewhere(query: Query) -> bool:
    """Return whether the browser holds an address that was not written here, such as a link's, or one that
    the page has left.
    """
    known: list[Query] = st.session_state[ADDRESSES]
    if query not in known:
        return True
    newest = query == known[-1]
    st.session_state[ADDRESSES] = known[-1:] if newest else known[known.index(query) :]
    return not (newest or is_redraw() or time.monotonic() - st.session_state[WRITTEN] < ARRIVES)


def follow(query: Query) -> None:
    """Note that the page shows what this address says."""
    st.session_state[ADDRESSES] = [query]


def write(query: Query) -> None:
    """Write an address, also if the browser seems to hold it: an older one that was written by a run of the
    page that is cut short may arrive only now. The browser ignores what it has.
    """
    st.query_params.from_dict(query)
    st.session_state[ADDRESSES].append(query)
    st.session_state[WRITTEN] = time.monotonic()
