"""The background engine that all pages and sessions of this server share.

Pages request the engine after their own imports: it imports Dask in a thread, which would slow those down.
"""

from __future__ import annotations

import threading
from importlib import import_module

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.service import BackgroundEngine
from engine.jobs.views import RunView
from pages.widgets import public_mode
from pages.widgets.server import health_check

PRELOADED = (
    "torch.nn",  # and with it torch, which is deferred, see `pages.widgets.server`
    "pages.widgets.compare.sweep",
    "pages.widgets.generate.sparsity_slider",
    "pages.widgets.generate.tokens",
)
DELAY = 6.0
"""Most seconds that the engine and the other pages' imports leave to the first page, if no browser says that
it has drawn it (`pages.widgets.drawn`) and no run is started.
"""


def shared_engine() -> BackgroundEngine:
    """Return the started engine, immediately: its processes start in the background."""
    return health_check.engine or _start()


def use(engine: BackgroundEngine) -> None:
    """Let all pages use an engine, in a process without a server."""
    health_check.engine = engine


# One per server process: Streamlit locks the first call, so tabs that open together share the engine.
@st.cache_resource(show_spinner=False)
def _start() -> BackgroundEngine:
    engine = BackgroundEngine(policy=public_mode.policy(), visitor=public_mode.visitor, delay=DELAY)
    engine.start()
    health_check.engine = engine
    # a daemon: it must not delay the exit
    threading.Thread(target=_warm, args=(engine,), name="prunescope-imports", daemon=True).start()
    return engine


def find_view(engine: BackgroundEngine, key: str | None) -> RunView | None:
    """Return a run as it is now; None if there is no such run, or its folder is damaged."""
    try:
        return engine.view(key) if key else None
    except PrunescopeError:
        return None


def _warm(engine: BackgroundEngine) -> None:
    """Import what the other pages need and read the bundled runs, so that their first visit is quick."""
    engine.begun.wait()
    for name in PRELOADED:
        import_module(name)
    engine.runs()  # reads the bundled runs, which the store keeps in memory
