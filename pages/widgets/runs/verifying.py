"""Verifying an imported run: its recipe is computed here, and the numbers are compared one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine.analysis.verification import Verification, verify
from engine.charts.tables import to_csv
from engine.charts.verification import verification_table
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.store.summary import RunSummary
from pages.widgets.engine_handle import find_view
from pages.widgets.literal import literal
from pages.widgets.live import live, show_error
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

COMPUTED, REFUSED = "verify.computed", "verify.refused"
"""Session state: the key of the run that was computed here, and why there is none, by the imported run."""
HELP = "Computes the recipe here, unless that is done already, and compares the numbers."
TALL = 420  # pixels


def draw_verify_button(engine: BackgroundEngine, run: RunSummary) -> None:
    """Draw the button that computes an imported run's recipe here."""
    st.button(
        "Verify",
        key="verify",
        icon=":material/fact_check:",
        help=HELP,
        on_click=_start,
        args=(engine, run),
    )


def draw_verification(engine: BackgroundEngine, run: RunSummary) -> None:
    """Draw the progress and then the result of a verification; nothing before it was started."""
    if message := st.session_state.get(REFUSED, {}).get(run.key):
        show_error(f"This run cannot be computed here, so its numbers cannot be verified: {message}")
    key = st.session_state.get(COMPUTED, {}).get(run.key)
    here = find_view(engine, key) if key else None
    if here is None:
        return
    if here.active:
        live(
            "verify",
            lambda: find_view(engine, key),
            _draw_progress,
            left=lambda view: bool(view and view.active),
        )
    elif here.state != "finished":
        reason = here.record.error or here.message or f"it was {here.state}."
        show_error(f"The recipe could not be computed here, so the numbers are not verified: {reason}")
    elif (theirs := find_view(engine, run.key)) is not None:
        if (
            run.recipe is not None
            and here.record.recipe is not None
            and here.record.recipe.key != run.recipe.key
        ):
            st.warning("The files that the recipe names are different here.", icon=":material/warning:")
        _draw_result(verify(theirs.record, here.record), run.key)


def _draw_progress(view: RunView | None) -> None:
    if view is not None:
        st.progress(share(view), text=f"Computing the recipe here · {progress_words(view)}")


def _draw_result(result: Verification, key: str) -> None:
    draw, icon = (st.success, ":material/check:") if result.confirmed else (st.error, ":material/error:")
    draw(literal(f"{result.summary} {result.explanation}"), icon=icon)
    if result.machine:
        rows = [(item.field, item.one, item.other) for item in result.machine]
        machines = pd.DataFrame(rows, columns=["Machine and software", "imported", "here"])
        st.table(machines, hide_index=True, border="horizontal")
    table = verification_table(result)
    st.dataframe(
        table,
        hide_index=True,
        height=min(TALL, 36 * (len(table) + 1)),  # pixels: 36 per row, and one for the header
        alt="The numbers of the imported run and of the run computed here, those that differ most first",
    )
    st.download_button(
        "CSV",
        to_csv(table),
        f"{key}-verified.csv",
        "text/csv",
        key="verify.csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _start(engine: BackgroundEngine, run: RunSummary) -> None:
    assert run.recipe is not None, "an imported run has a recipe"
    refused = st.session_state.setdefault(REFUSED, {})
    refused.pop(run.key, None)
    try:
        st.session_state.setdefault(COMPUTED, {})[run.key] = engine.submit(run.recipe)
    except PrunescopeError as error:
        refused[run.key] = str(error)
