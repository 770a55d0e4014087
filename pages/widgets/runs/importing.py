"""Taking in a colleague's run, and the way to see in what it differs from one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from engine.store.import_run import import_run

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

IMPORTED = "runs.imported"
HELP = "The Record (json) that Explore and Runs offer, or the events.jsonl of a run's folder. Numbers alone; its weights are computed here on request."


def draw_import(engine: BackgroundEngine) -> None:
    """A file, and what became of it."""
    with (
        st.expander("Take in a colleague's run", icon=":material/upload_file:"),
        st.form("import", border=False, clear_on_submit=True),
    ):
        file = st.file_uploader("A run's record or events", ["json", "jsonl"], help=HELP, key="runs.file")
        if st.form_submit_button("Take it in", icon=":material/download_done:") and file is not None:
            try:
                st.session_state[IMPORTED] = import_run(engine.store, file.getvalue(), file.name)
            except PrunescopeError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.rerun()
    key = st.session_state.get(IMPORTED)
    if key is not None:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown("The run is taken in.", width="stretch")
            st.page_link(
                "pages/explore.py", label="Open it", icon=":material/content_cut:", query_params={"run": key}
            )
            two = {"section": "Two runs", "one": key}
            st.page_link(
                "pages/compare.py",
                label="See what differs",
                icon=":material/compare_arrows:",
                query_params=two,
            )
