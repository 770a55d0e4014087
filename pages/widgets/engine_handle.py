"""The one background engine that all pages and all sessions of this server share, and what they all import.

A page asks for the engine after its own imports: it imports Dask in a thread, which would slow down the first
page's.
"""

from __future__ import annotations

import threading
import time
from importlib import import_module

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.service import BackgroundEngine
from engine.jobs.views import RunView

LATER = (
    "pages.widgets.compare.sweep",
    "pages.widgets.generate.sparsity_slider",
    "pages.widgets.generate.tokens",
)
PATIENCE = 2.0
"""Seconds that the first page is given before the other pages' imports begin: two that import at once slow
one another down.
"""


@st.cache_resource(show_spinner=False)
def shared_engine() -> BackgroundEngine:
    """The engine, started; this returns at once while its processes come up in the background."""
    engine = BackgroundEngine()
    engine.start()
    threading.Thread(target=_warm, args=(engine,), name="prunescope-imports", daemon=True).start()
    return engine


def find_view(engine: BackgroundEngine, key: str | None) -> RunView | None:
    """Return a run as it is now; None if there is no such run, or its folder is damaged."""
    try:
        return engine.view(key) if key else None
    except PrunescopeError:
        return None


def _warm(engine: BackgroundEngine) -> None:
    """Import what the other pages need, and read the recorded runs, so that nobody waits for it on a first
    visit.
    """
    time.sleep(PATIENCE)
    for name in LATER:
        import_module(name)
    engine.runs()
