"""The one background engine that all pages and all sessions of this server share.

A page asks for it after its own imports: the engine imports Dask in a thread, which would slow down the first page's.
"""

from __future__ import annotations

import streamlit as st

from engine.jobs.background import BackgroundEngine


@st.cache_resource(show_spinner=False)
def shared_engine() -> BackgroundEngine:
    """The engine, started; this returns at once while its processes come up in the background."""
    engine = BackgroundEngine()
    engine.start()
    return engine
