"""Generate: what dense and pruned models write and expect: from 0 to 90 %, side by side, token by token, and on one's own text."""

import streamlit as st

from pages.widgets.entry import enter_through_app
from pages.widgets.generate.chosen import choose_runs, with_weights
from pages.widgets.generate.side_by_side import draw_side_by_side
from pages.widgets.generate.tokens import draw_own_text, draw_tokens
from pages.widgets.generate.walk import draw_walk
from pages.widgets.run_picker import finished_runs, usual_keys
from pages.widgets.shared import shared_engine

WALK = "From 0 to 90 %"
SECTIONS = {"Side by side": draw_side_by_side, "Token by token": draw_tokens, "Your own text": draw_own_text}

enter_through_app("generate")
engine = shared_engine()
st.title("Generate", anchor=False)
section = st.segmented_control(
    "Section", (WALK, *SECTIONS), default=WALK, key="part", bind="query-params", required=True, label_visibility="collapsed"
)
runs = finished_runs(engine)
if section in SECTIONS:
    chosen = choose_runs(runs, usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6)))
    SECTIONS[section](engine, with_weights(engine, chosen))
else:
    draw_walk(engine, runs)
