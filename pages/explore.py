"""Explore, the main job: a recipe on the left, what came of it on the right."""

import streamlit as st

from pages.widgets.engine_handle import shared_engine
from pages.widgets.explore import session
from pages.widgets.explore.allocation_editor import draw_editor
from pages.widgets.explore.allocation_trials import draw_trials
from pages.widgets.explore.cost import draw_cost
from pages.widgets.explore.downloads import draw_compute_here, draw_take_away
from pages.widgets.explore.prompt import draw_prompt
from pages.widgets.explore.recipe_form import draw_more, draw_sentence
from pages.widgets.explore.run_view import draw_run
from pages.widgets.explore.seed_spread import draw_spread
from pages.widgets.explore.size_speed import draw_size_speed
from pages.widgets.explore.welcome import draw_stage, draw_welcome
from pages.widgets.present.presenter import is_presenting

engine = shared_engine()
fields = session.open_session(engine)
summary = engine.summary(fields["model"], fields["revision"])
checked = session.check_form(engine, fields, summary)

with st.sidebar:
    draw_sentence(engine, checked, summary.value.sizes if summary.value else ())
    draw_cost(engine, checked, summary)
    ready = checked.recipe is not None
    st.button(
        "Prune",
        key="prune",
        type="primary",
        width="stretch",
        disabled=not ready,
        on_click=session.prune,
        args=(engine,),
    )
    draw_more(engine, checked)

if not is_presenting():
    st.title("Prunescope", anchor=False)
    st.markdown(
        "Pick a language model, a pruner and a sparsity; watch it being pruned block by block; see exactly what it cost."
    )
for sentence in session.complaints():
    st.warning(sentence, icon=":material/info:")

draw_editor(engine, checked, summary.value)
draw_trials(engine, fields)
note, place = (
    st.container(),
    st.container(),
)  # always both: a part that is drawn again by itself is known by where it stands
key = session.run_key()
if key is None and is_presenting():
    draw_stage(engine, checked)
elif key is None:
    draw_welcome(engine, checked, summary.value)
else:
    if session.has_changed(fields):
        note.caption(
            ":material/edit: The recipe on the left has changed since this run. Press **Prune** to compute it."
        )
    with place:
        view = draw_run(engine, key)
    if view is not None and view.state == "finished" and session.focus() == session.EVERYTHING:
        if view.has_weights:
            draw_prompt(engine, key)
        else:
            draw_compute_here(engine, view)
        draw_spread(engine, view.record)
        if view.has_weights:
            draw_size_speed(engine, view.record)
        draw_take_away(engine, view)
session.write_address(fields)
