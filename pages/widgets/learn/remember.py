"""The end of a lesson: what to remember, where it is explained, and where to try it on a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st


def remember(lines: Sequence[str], method: str, trial: Mapping[str, str], label: str) -> None:
    """Draw it.

    Args:
        lines: two or three sentences, Markdown.
        method: the title of a method, as the Methods page finds it.
        trial: what the address of Explore has to say.
        label: what is tried there, in a few words.
    """
    with st.container(border=True):
        st.markdown("**What to remember**")
        st.markdown("\n".join(f"- {line}" for line in lines))
        with st.container(horizontal=True):
            st.page_link(
                "pages/methods.py", label=f"{method} on the Methods page", icon=":material/menu_book:", query_params={"methods.find": method}
            )
            st.page_link("pages/explore.py", label=label, icon=":material/play_arrow:", query_params=dict(trial))
