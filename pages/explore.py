"""Explore, the main page: a recipe on the left, its result on the right."""

from functools import partial

import streamlit as st

from pages.widgets.compute_here import draw_compute_here
from pages.widgets.engine_handle import shared_engine
from pages.widgets.explore import session
from pages.widgets.explore.allocation_editor import draw_editor
from pages.widgets.explore.allocation_trials import draw_trials
from pages.widgets.explore.cost import draw_cost
from pages.widgets.explore.downloads import draw_downloads
from pages.widgets.explore.formula_editor import draw_formula
from pages.widgets.explore.prompt import draw_prompt
from pages.widgets.explore.recipe_form import draw_complaints, draw_details, draw_prune, draw_recipe
from pages.widgets.explore.run_view import draw_run
from pages.widgets.explore.seed_spread import draw_spread
from pages.widgets.explore.size_speed import draw_size_speed
from pages.widgets.explore.welcome import draw_start, draw_title
from pages.widgets.held_runs import draw_held_runs
from pages.widgets.known_model import is_absent

engine = shared_engine()
fields = session.open_session(engine)
# Pending at first for a new model: `draw_cost` polls for it and has the page drawn again.
model = engine.summary(fields["model"], fields["revision"])
checked = session.check_form(engine, fields, model)

with st.sidebar:
    draw_recipe(engine, checked, model.value)
    draw_cost(engine, checked, model)
    draw_prune(engine, checked, model)
    draw_details(engine, checked)

draw_title()
draw_held_runs(engine)
draw_complaints()
draw_formula(engine, checked, model.value)
draw_editor(engine, checked, model.value)
draw_trials(engine, fields)

# Both containers are always drawn: Streamlit recognizes a fragment by its position on the page.
note, main = st.container(), st.container()
key = session.run_key()
if key is None:
    with main:
        draw_start(engine, checked, model.value)
else:
    if session.has_changed(fields):
        note.caption(":material/edit: The recipe has changed since this run. Press **Prune** to run it.")
    with main:
        view = draw_run(engine, key)  # the run itself, or the replay's state until the replay is at its end
    if view is not None and view.state == "finished" and session.focus() == session.EVERYTHING:
        if view.has_weights:
            draw_prompt(engine, key)
        else:
            draw_compute_here(engine, [view.record], "compute", partial(session.try_again, engine))
        if view.record.recipe is not None and not is_absent(view.record.recipe):
            draw_spread(engine, view.record)
        if view.has_weights:
            draw_size_speed(engine, view.record)
        draw_downloads(engine, view)
# Last: the widgets above may have changed the focus or the replay, which are in the address too.
session.write_address(fields)
