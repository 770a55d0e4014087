"""Microscope: one linear of one run, from its weights to what they do."""

import streamlit as st

from pages.widgets.entry import enter_through_app
from pages.widgets.microscope.view import draw_run_under
from pages.widgets.shared import shared_engine

enter_through_app("microscope")
engine = shared_engine()
st.title("Microscope", anchor=False)
st.markdown("One linear layer of one pruned model: which weights went, why just those, and what that did to its output.")
draw_run_under(engine)
