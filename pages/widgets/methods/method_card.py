"""The card of a method: what it does, when it helps, its formula, paper and parameters, and a link to try it.

Everything comes from the method's entry in a registry.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from engine import numbers
from engine.pruning.measured import measured
from engine.pruning.presets import PRESETS
from engine.pruning.recommendations import Evidence, Recommendation, in_words
from engine.registry import Method
from pages.widgets.literal import literal
from pages.widgets.page_setup import explore


def anchor(axis: str, name: str) -> str:
    """Return the anchor of a method on the page, for links to it."""
    return f"{axis}-{name}".replace(":", "-")  # a colon, as in 2:4, would break the link


def draw_method(axis: str, method: Method, related: Mapping[str, str], fields: Mapping[str, str]) -> None:
    """Draw the card of a method.

    Args:
        axis: the registry that has the method.
        method: the method.
        related: links to related methods, Markdown by label.
        fields: the query parameters of Explore that try the method; empty if there is nothing to try.
    """
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(method.title, anchor=anchor(axis, method.name), width="content")
            if fields:
                st.page_link(
                    explore(), label="Try it", icon=":material/play_arrow:", query_params=dict(fields)
                )
        st.markdown(method.explanation)
        if method.formula:
            st.latex(one_part_per_line(method.formula))
        lines = {
            "When it helps": method.helps,
            "Measured": measured(method),
            **related,
            "Published in": _paper(method),
            "Sources": method.sources,
            "In a recipe": f"`{axis}={method.name}`",
            "Of your own": literal(str(method.origin)) if method.origin else "",
        }
        st.markdown("  \n".join(f"**{label}:** {text}" for label, text in lines.items() if text))
        if method.parameters:
            st.table(_parameters(method), hide_index=True, border="horizontal")
        if isinstance(method, Recommendation):
            with st.container(key=f"evidence.{method.name}"):  # see `frame.css`
                for evidence in method.evidence:
                    st.markdown(f"{evidence.model}: perplexity, dense {numbers.perplexity(evidence.dense)}")
                    st.table(_evidence(evidence), hide_index=True, border="horizontal")


def one_part_per_line(formula: str) -> str:
    r"""Put the parts of a formula, separated by `\quad`, on separate lines: one line would be too wide."""
    parts = [part.strip() for part in formula.split(r"\quad")]
    if len(parts) == 1:
        return formula
    return r"\begin{gathered} " + r" \\[0.6em] ".join(parts) + r" \end{gathered}"


def _evidence(evidence: Evidence) -> pd.DataFrame:
    """Return the perplexities of a recommendation's candidates, a row per sparsity or pattern."""
    names = list(dict.fromkeys(name for row in evidence.measured.values() for name in row))
    rows = [
        [in_words(shape), *(numbers.perplexity(row.get(name)) for name in names)]
        for shape, row in evidence.measured.items()
    ]
    return pd.DataFrame(rows, columns=["Sparsity", *(PRESETS[name].title for name in names)])


def _paper(method: Method) -> str:
    """Return the title, with a link, and the year of the method's paper."""
    if method.paper is None:
        return ""
    title = f"[{method.paper.title}]({method.paper.url})" if method.paper.url else f"*{method.paper.title}*"
    return f"{title}, {method.paper.year}"


def _parameters(method: Method) -> pd.DataFrame:
    rows = [
        # `capitalize` would lower-case the rest, such as abbreviations.
        (f"`{method.name}.{item.name}`", f"{item.explanation[:1].upper()}{item.explanation[1:]}", item.range)
        for item in method.parameters
    ]
    return pd.DataFrame(rows, columns=["Parameter", "What it sets", "Range"])
