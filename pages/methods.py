"""Methods: the reference of everything that a recipe can choose, drawn only from the registries."""

import streamlit as st

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.recommendations import all_pruners
from pages.widgets.explore import session
from pages.widgets.formula_reference import draw_functions, draw_names
from pages.widgets.literal import literal
from pages.widgets.methods.method_card import anchor, draw_method
from pages.widgets.methods.reference import SECTIONS, related_methods, search, trial_fields
from pages.widgets.page_setup import enter_through_app

enter_through_app("methods")
model = session.model()
with st.sidebar:
    query = st.text_input(
        "Find a method",
        key="methods.find",  # the query parameter's name, which lessons link to
        type="search",
        placeholder="Name, word or paper",
        icon=":material/search:",
        live=True,
        bind="query-params",
    )
    matches = {
        axis: search(registry, query or "")
        for axis, registry in {"pruner": all_pruners(), **AXES, **LAYOUTS}.items()
    }
    for axis, methods in matches.items():
        if methods:
            links = [f"[{method.title}](#{anchor(axis, method.name)})" for method in methods]
            st.markdown(f"**[{SECTIONS[axis].title}](#{axis})**  \n{' · '.join(links)}")

st.title("Methods", anchor=False)
st.markdown(
    "A run makes one choice on each axis: a score, a pattern, an allocation, a weight update and a mask "
    "refinement. "
    "A pruner is a name for some of these choices; two of them depend on the sparsity."
)
if not any(matches.values()):
    st.info(
        f"No method has {literal(query)} in its name, explanation or paper. Try fewer letters.",
        icon=":material/search_off:",
    )
for axis, methods in matches.items():
    if methods:
        st.header(SECTIONS[axis].title, anchor=axis)
        st.markdown(SECTIONS[axis].question)
    for method in methods:
        # The trial keeps this tab's model: whatever a new address does not name, Explore sets to its default.
        draw_method(axis, method, related_methods(method), {**model, **trial_fields(axis, method)})
        if (axis, method.name) == ("score", "formula"):
            draw_names()
            draw_functions()
            st.page_link(
                "pages/learn.py",
                label="Try your own score: the lesson that races it against Wanda",
                icon=":material/school:",
                query_params={"lesson": "invent"},
            )
