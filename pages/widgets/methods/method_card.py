"""One entry of the reference: what a method does, when it helps, its formula, paper and parameters, and the
way to try it.

All of it comes from the method's own entry in a registry.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from engine.registry import Method

EXPLORE = "pages/explore.py"


def anchor(axis: str, name: str) -> str:
    """The place of a method on its page, for a link to it."""
    return f"{axis}-{name}".replace(":", "-")


def draw_method(axis: str, method: Method, facts: Mapping[str, str], fields: Mapping[str, str]) -> None:
    """Draw a method.

    Args:
        axis: the registry that it is in.
        method: the method.
        facts: more about it as Markdown, by what it is.
        fields: what the address of Explore must say to try it; empty where there is nothing to try.
    """
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(method.title, anchor=anchor(axis, method.name), width="content")
            if fields:
                st.page_link(EXPLORE, label="Try it", icon=":material/play_arrow:", query_params=dict(fields))
        st.markdown(method.explanation)
        if method.formula:
            st.latex(in_lines(method.formula))
        lines = {
            "When it helps": method.helps,
            **facts,
            "Published in": _paper(method),
            "In a recipe": f"`{axis}={method.name}`",
        }
        st.markdown("  \n".join(f"**{label}:** {words}" for label, words in lines.items() if words))
        if method.parameters:
            st.table(_parameters(method), hide_index=True, border="horizontal")


def in_lines(formula: str) -> str:
    """A formula of several parts, which a wide space keeps apart, with each part on a line of its own: side
    by side they need a wide page.
    """
    parts = [part.strip() for part in formula.split(r"\quad")]
    return (
        formula if len(parts) == 1 else r"\begin{gathered} " + r" \\[0.6em] ".join(parts) + r" \end{gathered}"
    )


def _paper(method: Method) -> str:
    """Title, year and link."""
    if method.paper is None:
        return ""
    title = f"[{method.paper.title}]({method.paper.url})" if method.paper.url else f"*{method.paper.title}*"
    return f"{title}, {method.paper.year}"


def _parameters(method: Method) -> pd.DataFrame:
    rows = [
        (f"`{method.name}.{item.name}`", f"{item.explanation[:1].upper()}{item.explanation[1:]}", item.range)
        for item in method.parameters
    ]
    return pd.DataFrame(rows, columns=["Parameter", "What it sets", "Range"])
