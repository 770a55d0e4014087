"""Deleting runs: asked once, and undone for as long as the app runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.errors import PrunescopeError
from engine.jobs.store import RunSummary

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

DELETED, ERROR = "runs.deleted", "runs.error"


def draw_deletion(engine: BackgroundEngine, runs: Sequence[RunSummary], label: str, key: str) -> None:
    """A button that asks once."""
    count = f"{len(runs)} runs" if len(runs) != 1 else f"“{runs[0].title}”"
    with st.popover(label, icon=":material/delete:", disabled=not runs):
        st.markdown(f"Delete {count}, {numbers.size(sum(run.size for run in runs))}? You can take it back until the app is started anew.")
        st.button("Delete", key=f"delete.{key}", type="primary", on_click=_delete, args=(engine, [run.key for run in runs]))


def draw_undo(engine: BackgroundEngine) -> None:
    """What was deleted last, and the way back; and what could not be done."""
    if sentence := st.session_state.pop(ERROR, ""):
        st.error(sentence, icon=":material/error:")
    keys = st.session_state.get(DELETED) or []
    if keys:
        with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"{len(keys)} run{'s are' if len(keys) > 1 else ' is'} in the trash.", width="stretch")
            st.button("Undo", key="undo", icon=":material/undo:", on_click=_undo, args=(engine,))


def _delete(engine: BackgroundEngine, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            engine.store.delete(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
        else:
            st.session_state[DELETED] = [*(st.session_state.get(DELETED) or []), key]


def _undo(engine: BackgroundEngine) -> None:
    for key in st.session_state.pop(DELETED, []):
        try:
            engine.store.restore(key)
        except PrunescopeError as error:
            st.session_state[ERROR] = str(error)
