"""Runs: the queue, the user's runs, importing and deleting runs, and the bundled ones."""

import streamlit as st

from pages.widgets.engine_handle import shared_engine
from pages.widgets.held_runs import draw_held_runs
from pages.widgets.page_setup import enter_through_app
from pages.widgets.run_picker import finished_runs
from pages.widgets.runs.deleting import draw_cleanup, draw_undo
from pages.widgets.runs.importing import draw_import
from pages.widgets.runs.listing import draw_bundled, draw_list
from pages.widgets.runs.queue import draw_queue

enter_through_app("runs")
engine = shared_engine()
st.title("Runs", anchor=False)
draw_held_runs(engine)
draw_queue(engine)
# Above the list, and so drawn first: it also shows the errors of the actions below, in the next run.
draw_undo(engine)
runs = engine.runs()
own = [run for run in runs if not run.recorded]
draw_list(engine, own)
draw_import(engine)
if own:
    draw_cleanup(engine, own)
draw_bundled(engine, [run for run in finished_runs(runs) if run.recorded])
