"""Methods: everything that can be chosen, explained; drawn from the registries alone."""

import streamlit as st

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.presets import PRESETS
from pages.widgets.explore import session
from pages.widgets.methods.method_card import anchor, draw_method
from pages.widgets.methods.reference import SECTIONS, facts, found, trial
from pages.widgets.page_setup import enter_through_app

enter_through_app("methods")
model = session.model()
with st.sidebar:
    wanted = st.text_input(
        "Find a method",
        key="methods.find",
        type="search",
        placeholder="A name, a word, a paper",
        icon=":material/search:",
        live=True,
        bind="query-params",
    )
    shown = {
        axis: found(registry, wanted or "")
        for axis, registry in {"pruner": PRESETS, **AXES, **LAYOUTS}.items()
    }
    for axis, methods in shown.items():
        if methods:
            links = [f"[{method.title}](#{anchor(axis, method.name)})" for method in methods]
            st.markdown(f"**[{SECTIONS[axis].title}](#{axis})**  \n{' · '.join(links)}")

st.title("Methods", anchor=False)
st.markdown(
    "A run is one choice on each axis: a score, a pattern, an allocation, an update, a refinement. A pruner is a name for some of these choices."
)
if not any(shown.values()):
    st.info(
        f"No method has {wanted} in its name, its explanation or its paper. Try fewer letters.",
        icon=":material/search_off:",
    )
for axis, methods in shown.items():
    if methods:
        st.header(SECTIONS[axis].title, anchor=axis)
        st.markdown(SECTIONS[axis].question)
    for method in methods:
        draw_method(axis, method, facts(method), {**model, **trial(axis, method)})
