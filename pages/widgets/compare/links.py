"""The ways on from a run: into Explore, under the microscope, beside another run.

A link to the page that one is on would leave its widgets as they are, so the way to two runs is a button that writes the address.
"""

from __future__ import annotations

import streamlit as st

SECTION, PAIR = "section", "Two runs"
ONE, OTHER = "one", "other"
"""The address's names of the two runs that stand side by side."""
GONE = "compare.gone"
"""Set from the press of such a button until the page has followed."""


def draw_links(key: str, place: str) -> None:
    """Links and buttons for one run; `place` tells those of several places on the page apart."""
    st.page_link("pages/explore.py", label="Open in Explore", icon=":material/content_cut:", query_params={"run": key})
    st.page_link("pages/microscope.py", label="Look inside", icon=":material/biotech:", query_params={"run": key})
    for name, label in ((ONE, "Set left of two"), (OTHER, "Set right of two")):
        st.button(label, key=f"{place}.{name}", icon=":material/compare_arrows:", type="tertiary", on_click=_go, args=(name, key))
    if st.session_state.pop(GONE, False):
        st.rerun()  # pressed inside a part that is drawn alone: the page has to follow, with the section that the press has set


def _go(name: str, key: str) -> None:
    """Show the two runs with this one among them."""
    st.session_state[SECTION] = PAIR
    st.query_params[name] = key
    st.session_state[GONE] = True
