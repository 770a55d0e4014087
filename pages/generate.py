"""Generate: what dense and pruned models write and expect, side by side, token by token, and from 0 to 90 %."""

import streamlit as st

from pages.widgets.entry import enter_through_app
from pages.widgets.generate.chosen import choose_runs, with_weights
from pages.widgets.generate.side_by_side import draw_side_by_side
from pages.widgets.generate.tokens import draw_tokens
from pages.widgets.generate.walk import draw_walk
from pages.widgets.run_picker import finished_runs, usual_keys
from pages.widgets.shared import shared_engine

SECTIONS = ("From 0 to 90 %", "Side by side", "Token by token")

enter_through_app("generate")
engine = shared_engine()
st.title("Generate", anchor=False)
section = st.segmented_control("Section", SECTIONS, default=SECTIONS[0], key="part", bind="query-params", required=True, label_visibility="collapsed")
runs = finished_runs(engine)
if section in SECTIONS[1:]:
    chosen = choose_runs(runs, usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6)))
    (draw_side_by_side if section == SECTIONS[1] else draw_tokens)(engine, with_weights(engine, chosen))
else:
    draw_walk(engine, runs)
