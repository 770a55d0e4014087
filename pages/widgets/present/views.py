"""The views of a talk in the editor, with buttons to open, edit, move or remove each; a link copied from the
browser adds a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.store.talk import MOST_NOTES, MOST_TITLE, Talk, View, view_from_link
from pages.widgets.literal import literal, with_lists
from pages.widgets.present import presenter
from pages.widgets.present.changes import EDITED, Removal, change

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

LINK_HELP = (
    "Open the view in another tab, copy its address and paste it here. "
    "Everything that a link can show can be part of a talk."
)
NOTES_HELP = (
    "Shown in the window with the notes only. Lines that begin with - are a list, and `**words**` are bold."
)
PREVIEW = 160
"""Characters of the notes in the list of views."""


def draw_views(engine: BackgroundEngine, talk: Talk, *, may_change: bool) -> None:
    """Draw the views in order, and the form that adds one."""
    for position, view in enumerate(talk.views):
        with st.container(border=True):
            _draw_view(engine, talk, position, view, may_change)
            if may_change and st.session_state.get(EDITED) == position:
                _draw_edit_form(engine, talk, position, view)
    if may_change:
        _draw_add_form(engine, talk)


def _draw_view(engine: BackgroundEngine, talk: Talk, position: int, view: View, may_change: bool) -> None:
    parameters = ", ".join(
        f"{name} {value[:8] if name == 'run' else value}" for name, value in view.parameters.items()
    )
    # Widgets have keys by position: the same view may be in a talk twice.
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{position + 1}** · {literal(view.title)}  \n"
            f":gray[{view.page.capitalize()} {literal(parameters)}]",
            width="stretch",
        )
        st.page_link(
            presenter.page_file(view),
            label="Open",
            icon=":material/open_in_new:",
            query_params=view.parameters,
        )
        for by, icon, label, at_end in (
            (-1, ":material/arrow_upward:", "Earlier", position == 0),
            (1, ":material/arrow_downward:", "Later", position == len(talk.views) - 1),
        ):
            st.button(
                label,
                key=f"present.{label}.{position}",
                icon=icon,
                disabled=at_end or not may_change,
                on_click=change,
                args=(engine.save_talk, talk.moved(position, by)),
            )
        st.button(
            "Edit",
            key=f"present.edit.{position}",
            icon=":material/edit:",
            disabled=not may_change,
            on_click=_edit,
            args=(position,),
        )
        sentence = f"View {position + 1}, “{literal(view.title)}”, was removed."
        st.button(
            "Remove",
            key=f"present.remove.{position}",
            icon=":material/delete:",
            disabled=not may_change,
            on_click=change,
            args=(engine.save_talk, talk.without(position)),
            kwargs={"removal": Removal(sentence, talk, engine.save_talk)},
        )
    if view.notes.strip():
        lines = [line.strip() for line in view.notes.splitlines() if line.strip()]
        more = "" if len(lines) == 1 and len(lines[0]) <= PREVIEW else " …"
        st.caption(f":material/speaker_notes: {with_lists(lines[0][:PREVIEW]).strip()}{more}")


def _edit(position: int | None) -> None:
    """Open the form of a view; close it if it is open."""
    st.session_state[EDITED] = None if st.session_state.get(EDITED) == position else position


def _draw_edit_form(engine: BackgroundEngine, talk: Talk, position: int, view: View) -> None:
    with st.form(f"present.form.{position}", border=False):
        link, title, notes = _draw_fields(f".{position}", f"/{view.link}", view.title, view.notes)
        with st.container(horizontal=True):
            save = st.form_submit_button("Save", icon=":material/save:", type="primary")
            st.form_submit_button("Cancel", on_click=_edit, args=(None,))
        if save:
            change(_put, engine, talk, link, title, notes, position)
            st.rerun()  # the row above was drawn with the old title


def _draw_add_form(engine: BackgroundEngine, talk: Talk) -> None:
    with st.form("present.add", clear_on_submit=True):
        st.markdown("**Add a view**")
        link, title, notes = _draw_fields()
        # Not a callback, because it needs the form's values; the list above lags by a view until the rerun.
        if st.form_submit_button("Add this view", icon=":material/add:") and link:
            change(_put, engine, talk, link, title, notes)
            st.rerun()


def _draw_fields(suffix: str = "", link: str = "", title: str = "", notes: str = "") -> tuple[str, str, str]:
    """Draw the fields of a view and return its link, title and notes."""
    left, right = st.columns(2)
    return (
        left.text_input(
            "Link to the view",
            link,
            key=f"present.link{suffix}",
            placeholder="https://…/compare?…",
            help=LINK_HELP,
        ),
        right.text_input(
            "Title that the audience sees", title, key=f"present.title{suffix}", max_chars=MOST_TITLE
        ),
        st.text_area(
            "Notes for the speaker",
            notes,
            key=f"present.notes{suffix}",
            max_chars=MOST_NOTES,
            help=NOTES_HELP,
        ),
    )


def _put(
    engine: BackgroundEngine, talk: Talk, link: str, title: str, notes: str, position: int | None = None
) -> None:
    """Store the talk with a view at its end, or in the place of another."""
    engine.save_talk(talk.with_view(view_from_link(link, title, notes), position))
