"""Compare: curves over many runs, sweeps, two runs side by side, a leaderboard and a table."""

import streamlit as st

from engine.analysis.calibration_text import narrow_calibration
from engine.models.known_files import known_file
from pages.widgets.compare.board import draw_board
from pages.widgets.compare.curves import draw_curves
from pages.widgets.compare.data import choose_protocol, draw_watch, known_runs
from pages.widgets.compare.links import PAIR, SECTION, SWEEP
from pages.widgets.compare.pair import draw_pair
from pages.widgets.compare.sweep import draw_sweep
from pages.widgets.compare.table import draw_table
from pages.widgets.engine_handle import shared_engine
from pages.widgets.handouts.button import draw_comparison_export
from pages.widgets.known_model import draw_how_to_get
from pages.widgets.literal import literal
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
    known = choose_protocol(known_runs(runs))
    if known.protocol is None:
        st.info(
            "No finished runs yet. Prune a model on Explore, or start a sweep.", icon=":material/show_chart:"
        )
    else:
        st.caption(f"{known.run_count} runs of {literal(known.protocol.title)}.")
        if file := known_file(known.protocol.revision):
            st.caption(file.origin)
            draw_how_to_get(file)
        if words := narrow_calibration(known.protocol.calibration, [known.protocol.evaluation]):
            st.caption(f":material/info: {words}")
        DRAW_RUNS.get(section or "", draw_curves)(known)
    draw_watch(engine)
