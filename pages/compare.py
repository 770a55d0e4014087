"""Compare: curves over many runs, sweeps, two runs side by side, a leaderboard and a table."""

import streamlit as st

from pages.widgets.compare.board import draw_board
from pages.widgets.compare.curves import draw_curves
from pages.widgets.compare.data import choose_protocol, controls, draw_protocol, draw_watch, known_runs
from pages.widgets.compare.links import PAIR, SECTION, SWEEP
from pages.widgets.compare.pair import draw_pair
from pages.widgets.compare.sweep import draw_sweep
from pages.widgets.compare.table import draw_table
from pages.widgets.engine_handle import shared_engine
from pages.widgets.handouts.button import draw_comparison_export
from pages.widgets.page_setup import enter_through_app

DRAW_RUNS = {"Curves": draw_curves, "Leaderboard": draw_board, "Table": draw_table}

enter_through_app("compare")
engine = shared_engine()
st.title("Compare", anchor=False)
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    section = st.segmented_control(
        "Section",
        ("Curves", SWEEP, PAIR, "Leaderboard", "Table"),
        default="Curves",
        key=SECTION,
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    if section != SWEEP:
        draw_comparison_export(engine, section or "Curves")
# These two read the runs themselves; the other sections show the runs of one protocol.
if section == SWEEP:
    draw_sweep(engine)
elif section == PAIR:
    draw_pair(engine)
else:
    runs = engine.runs()
    with controls("Model and protocol"):
        known = choose_protocol(known_runs(runs))
        draw_protocol(known)
    if known.protocol is None:
        st.info(
            "No finished runs yet. Prune a model on Explore, or start a sweep.", icon=":material/show_chart:"
        )
    else:
        DRAW_RUNS.get(section or "", draw_curves)(known)
    draw_watch(engine)
