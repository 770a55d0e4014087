"""Importing a run from a file, and links to open the imported run or compare it with another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from pages.widgets.literal import literal
from pages.widgets.page_setup import explore
from pages.widgets.public_mode import draw_refusal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

IMPORTED = "runs.imported"
HELP = (
    "The Record (json) from the export of a run, or the events.jsonl of its folder. It contains results "
    "only; the weights can be computed here on request."
)


def draw_import(engine: BackgroundEngine) -> None:
    """Draw the upload, and the links to the run that was imported last."""
    if draw_refusal(engine, engine.import_run):
        return
    with (
        st.expander("Import a run", icon=":material/upload_file:"),
        st.form("import", border=False, clear_on_submit=True),
    ):
        file = st.file_uploader("Record or events of a run", ["json", "jsonl"], help=HELP, key="runs.file")
        if st.form_submit_button("Import", icon=":material/download_done:") and file is not None:
            try:
                st.session_state[IMPORTED] = engine.import_run(file.getvalue(), file.name)
            except PrunescopeError as error:
                st.error(literal(error), icon=":material/error:")
            else:
                st.rerun()  # the list above was drawn without the run
    key = st.session_state.get(IMPORTED)
    if key is not None:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown("The run was imported. Choose it above to verify its numbers.", width="stretch")
            st.page_link(explore(), label="Open", icon=":material/content_cut:", query_params={"run": key})
            st.page_link(
                "pages/compare.py",
                label="Compare with another run",
                icon=":material/compare_arrows:",
                query_params={"section": "Two runs", "one": key},
            )
