"""Present: prepare talks as lists of views, step through one, and read its notes in another window."""

import streamlit as st

from pages.widgets.chart import load_ahead
from pages.widgets.engine_handle import shared_engine
from pages.widgets.page_setup import enter_through_app
from pages.widgets.present import presenter
from pages.widgets.present.notes import draw_notes
from pages.widgets.present.talk_editor import draw_editor

enter_through_app("present")
engine = shared_engine()
window = presenter.notes_window()
if window is not None:
    draw_notes(engine, window)
else:
    st.title("Present", anchor=False)
    st.markdown(
        "A talk is a list of views with notes for the speaker. In presentation mode the type is larger and "
        "the sidebar and the menu are hidden. Step from view to view with the arrow keys or a presentation "
        "remote."
    )
    draw_editor(engine)
    load_ahead()  # while the talk is being prepared, so that its first chart appears without delay
