"""Links from a run to Explore and the microscope, and buttons that put it next to another run.

A link to the current page would keep its widgets as they are, so the way to "Two runs" is a button that sets
the section and the address.
"""

from __future__ import annotations

import streamlit as st

from pages.widgets.page_setup import explore

SECTION, PAIR, SWEEP = "section", "Two runs", "Sweep"
LEFT, RIGHT = "one", "other"
"""The address parameters of the two runs that are compared."""
PRESSED = "compare.pressed"
"""In the session from the click on such a button until the page has changed."""


def draw_links(key: str, place: str) -> None:
    """Draw the links of a run.

    Args:
        key: of the run.
        place: prefix of the buttons' keys, as a page can draw links in several places.
    """
    st.page_link(explore(), label="Open in Explore", icon=":material/content_cut:", query_params={"run": key})
    st.page_link(
        "pages/microscope.py",
        label="Open in Microscope",
        icon=":material/biotech:",
        query_params={"run": key},
    )
    for side, label in ((LEFT, "Compare as left run"), (RIGHT, "Compare as right run")):
        st.button(
            label,
            key=f"{place}.{side}",
            icon=":material/compare_arrows:",
            type="tertiary",
            on_click=_compare,
            args=(side, key),
        )
    if st.session_state.pop(PRESSED, False):
        # In a fragment the click has run only that fragment, but the whole page changes its section.
        st.rerun()


def _compare(side: str, key: str) -> None:
    st.session_state[SECTION] = PAIR  # a widget's key: only a callback may set it once it is drawn
    st.query_params[side] = key
    st.session_state[PRESSED] = True
