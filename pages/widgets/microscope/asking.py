"""Asking the worker about a linear and waiting for the answer: a place is held for it, and the page is drawn again when it has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine.errors import PrunescopeError
from engine.jobs.views import Found, InspectionView
from pages.widgets.redraw import redraw_page

POLL = 0.4


def answered(ask: Callable[[], InspectionView[Found]]) -> InspectionView[Found]:
    """What is known so far; what the engine refuses is a failure like any other."""
    try:
        return ask()
    except PrunescopeError as error:
        return InspectionView("failed", message=str(error))


def hold_place(ask: Callable[[], Sequence[InspectionView[Any]]], height: int, words: str) -> None:
    """An empty place until all answers are there; then the page is drawn again with them."""
    st.fragment(_wait, run_every=POLL)(ask, height, words)


def _wait(ask: Callable[[], Sequence[InspectionView[Any]]], height: int, words: str) -> None:
    if all(view.state != "pending" for view in ask()):
        redraw_page("microscope.asking")
    st.skeleton(height=height)
    st.caption(words)
