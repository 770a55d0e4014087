"""Present: prepare a talk as a list of views, and step through it."""

import streamlit as st

from pages.widgets.chart import load_ahead
from pages.widgets.engine_handle import shared_engine
from pages.widgets.page_setup import enter_through_app
from pages.widgets.present.talk_editor import draw_talk

enter_through_app("present")
engine = shared_engine()
st.title("Present", anchor=False)
st.markdown(
    "A talk is a list of views. In presentation mode the type is larger and the sidebar and the menu are "
    "hidden. "
    "Step from view to view with the arrow keys or a presentation remote."
)
draw_talk(engine)
load_ahead()  # while the talk is being prepared, so that its first chart appears without delay
