"""Microscope: one linear of one run, from its weights to what they do."""

import streamlit as st

from pages.widgets.engine_handle import shared_engine
from pages.widgets.microscope.view import draw_microscope
from pages.widgets.page_setup import enter_through_app

enter_through_app("microscope")
engine = shared_engine()
st.title("Microscope", anchor=False)
st.markdown(
    "One linear layer of one pruned model: which weights were removed, why, and how that changed its output."
)
draw_microscope(engine)
