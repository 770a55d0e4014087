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
    "A talk is a list of views. While you present, the type is larger, the sidebar and the menu are gone, and the arrow keys or a presenter's remote "
    "step from view to view."
)
draw_talk(engine)
load_ahead()
