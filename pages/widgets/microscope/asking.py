"""Asking the worker about a linear and waiting for the answer: a place is held for it, and the page is drawn again when it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.views import InspectionView

POLL = 0.4
Ask = Callable[[], InspectionView[Any]]


def answered(ask: Ask) -> InspectionView[Any]:
    """What is known so far; what the engine refuses is a failure like any other."""
    try:
        return ask()
    except PrunescopeError as error:
        return InspectionView("failed", message=str(error))


def hold_place(ask: Ask, height: int, words: str) -> None:
    """An empty place until the answer is there; then the page is drawn again with it."""
    st.fragment(_wait, run_every=POLL)(ask, height, words)


def _wait(ask: Ask, height: int, words: str) -> None:
    if answered(ask).state != "pending":
        st.rerun()
    st.skeleton(height=height)
    st.caption(words)
