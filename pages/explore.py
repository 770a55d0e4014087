"""Explore, the main page: a recipe on the left, its result on the right."""

import streamlit as st

from pages.widgets.engine_handle import shared_engine
from pages.widgets.explore import session
from pages.widgets.explore.allocation_editor import draw_editor
from pages.widgets.explore.allocation_trials import draw_trials
from pages.widgets.explore.cost import draw_cost
from pages.widgets.explore.finished_run import draw_finished
from pages.widgets.explore.formula_editor import draw_formula
from pages.widgets.explore.recipe_form import draw_complaints, draw_details, draw_prune, draw_recipe
from pages.widgets.explore.run_numbers import load_ahead
from pages.widgets.explore.run_view import draw_run
from pages.widgets.explore.shown_part import settle_part
from pages.widgets.explore.shown_run import find_shown
from pages.widgets.explore.welcome import draw_active, draw_stage, draw_title, draw_welcome
from pages.widgets.held_runs import draw_held_runs

load_ahead()
engine = shared_engine()
fields = session.open_session(engine)
# Pending at first for a new model: `draw_cost` polls for it and has the page drawn again.
model = engine.summary(fields["model"], fields["revision"])
checked = session.check_form(engine, fields, model)
shown = find_shown(engine, checked)
settle_part(engine, shown)
session.write_address(fields)


def draw_form() -> None:
    """Draw the form, in the sidebar."""
    with st.sidebar:
        draw_recipe(engine, checked, model.value, shown.series)
        draw_prune(engine, checked, model, shown)
        draw_cost(engine, checked, model)
        draw_details(engine, checked)


# Containers are drawn in any case: Streamlit recognizes a fragment by its position on the page.
head, note, main = st.container(), st.container(), st.container()
with head:
    choices = draw_title(engine, shown)
    draw_held_runs(engine)
    draw_complaints()
    draw_formula(engine, checked, model.value)
    draw_editor(engine, checked, model.value)
    draw_trials(engine, fields)
with note:
    draw_active(engine, shown)
    draw_stage(engine, checked, model, shown)
with main:
    if shown.key is None:
        draw_form()
        draw_welcome(engine, checked, model)
    else:
        # The run, or the replay's state until the replay is at its end. The form comes after its numbers.
        view = draw_run(engine, shown, choices, draw_form)
        complete = view is not None and view.state == "finished" and not shown.nearest
        if view is not None and complete and session.focus() == session.EVERYTHING:
            draw_finished(engine, view)
session.note_drawn()
