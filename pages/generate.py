"""Generate: what dense and pruned models write and predict: from 0 to 90 % sparsity, side by side, token by
token, and on the user's own text.
"""

import streamlit as st

from pages.widgets.engine_handle import shared_engine
from pages.widgets.generate.run_choice import SIDE_BY_SIDE, WALK, choose_runs, with_weights
from pages.widgets.generate.side_by_side import draw_side_by_side
from pages.widgets.generate.sparsity_slider import draw_sparsity_walk
from pages.widgets.generate.tokens import draw_own_text, draw_tokens
from pages.widgets.page_setup import enter_through_app
from pages.widgets.run_picker import finished_runs, usual_keys

SECTIONS = {"Side by side": draw_side_by_side, "Token by token": draw_tokens, "Your own text": draw_own_text}

enter_through_app("generate")
engine = shared_engine()
st.title("Generate", anchor=False)
section = st.segmented_control(
    "Section",
    (WALK, *SECTIONS),
    default=WALK,
    key="part",  # the query parameter's name as well, used by links from other pages
    bind="query-params",
    required=True,
    label_visibility="collapsed",
)
runs = finished_runs(engine.runs())
if section in SECTIONS:
    chosen = choose_runs(runs, usual_keys(runs, *SIDE_BY_SIDE))
    SECTIONS[section](engine, with_weights(engine, chosen))
else:
    draw_sparsity_walk(engine, runs)
