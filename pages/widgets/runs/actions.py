"""What can be done with one run: open it, name it, pin it, try it again, export it, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError
from engine.store.summary import NAME, NOTE, Label, RunSummary
from pages.widgets.engine_handle import find_view
from pages.widgets.explore.downloads import draw_downloads
from pages.widgets.literal import literal
from pages.widgets.page_setup import explore
from pages.widgets.public_mode import NOT_YOURS
from pages.widgets.runs.deleting import ERROR, draw_deletion
from pages.widgets.runs.verifying import draw_verification, draw_verify_button

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

UNFINISHED = ("failed", "cancelled", "interrupted", "damaged")


def draw_actions(engine: BackgroundEngine, run: RunSummary) -> None:
    """Draw the selected run and its actions."""
    with st.container(border=True):
        heading = f"**{literal(run.title)}** · `{run.key}`"
        if run.label.name and run.recipe:
            heading += f"  \n{literal(run.recipe.title)}"
        st.markdown(heading)
        if run.message:
            st.warning(literal(run.message), icon=":material/info:")
        with st.container(horizontal=True, vertical_alignment="center"):
            _draw_links(run)
            if engine.public is None:
                _draw_pin(engine, run)
            if run.recipe is not None and run.state in UNFINISHED:
                st.button(
                    "Try again", key="retry", icon=":material/refresh:", on_click=_retry, args=(engine, run)
                )
            if run.imported and run.recipe is not None and run.state == "finished":
                draw_verify_button(engine, run)
            if engine.public is None:
                draw_deletion(engine, [run], "Delete", "one")
        if run.imported:
            draw_verification(engine, run)
        if engine.may_change(run.key):
            _draw_label(engine, run)
        else:
            st.caption(f":material/lock: {NOT_YOURS}")
        view = find_view(engine, run.key) if run.state == "finished" else None
        if view is not None and view.state == "finished":
            with st.expander("Export", icon=":material/download:"):
                draw_downloads(engine, view)


def _draw_links(run: RunSummary) -> None:
    if run.state == "damaged":
        return
    st.page_link(explore(), label="Explore", icon=":material/content_cut:", query_params={"run": run.key})
    if run.state == "finished":
        pair = {"section": "Two runs", "one": run.key}
        st.page_link("pages/compare.py", label="Compare", icon=":material/compare_arrows:", query_params=pair)
        st.page_link(
            "pages/microscope.py",
            label="Microscope",
            icon=":material/biotech:",
            query_params={"run": run.key},
        )
        st.page_link(
            "pages/generate.py",
            label="Generate",
            icon=":material/notes:",
            query_params={"part": "Side by side", "runs": run.key},
        )


def _draw_pin(engine: BackgroundEngine, run: RunSummary) -> None:
    pinned = run.label.pinned
    st.button(
        "Unpin" if pinned else "Pin",
        key="pin",
        icon=":material/keep:",
        on_click=_write_label,
        args=(engine, run.key, run.label.model_copy(update={"pinned": not pinned})),
    )


def _draw_label(engine: BackgroundEngine, run: RunSummary) -> None:
    """Draw the run's name and note, which are stored with the run but are not part of its result."""
    # The key makes the inputs different ones for each run: what was typed for one does not appear in another.
    with st.form(f"label.{run.key}", border=False):
        left, right, button = st.columns([2, 4, 1], vertical_alignment="bottom")
        title = run.recipe.title if run.recipe else run.key
        name = left.text_input("Name", run.label.name, max_chars=NAME, placeholder=title)
        note = right.text_input(
            "Note", run.label.note, max_chars=NOTE, placeholder="What it was for, and what it showed"
        )
        if button.form_submit_button("Save", icon=":material/save:"):
            label = run.label.model_copy(update={"name": name.strip(), "note": note.strip()})
            _write_label(engine, run.key, label)
            st.rerun()  # the list above was drawn with the old name


def _write_label(engine: BackgroundEngine, key: str, label: Label) -> None:
    try:
        engine.label(key, label)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)


def _retry(engine: BackgroundEngine, run: RunSummary) -> None:
    assert run.recipe is not None, "drawn only for runs with a recipe"
    try:
        engine.submit(run.recipe)
    except PrunescopeError as error:
        st.session_state[ERROR] = str(error)
