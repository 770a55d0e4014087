"""The views of a talk in the editor, with buttons to open, edit, move or remove each. A view is added from
the pages that this browser tab has shown, or from a link copied from the browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import StoreError
from engine.store.talk import HOME_PAGE, MOST_NOTES, MOST_TITLE, PAGES, Talk, View, view_from_link
from pages.widgets.literal import literal, with_lists
from pages.widgets.page_setup import explore, page_file
from pages.widgets.present.changes import EDITED, Removal, change
from pages.widgets.visited import visited

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

LINK_HELP = (
    "For a view of another tab: copy its address and paste it here. "
    "Everything that a link can show can be part of a talk."
)
NOTES_HELP = (
    "Shown in the window with the notes only. Lines that begin with - are a list, and `**words**` are bold."
)
VISITED_HELP = (
    "The pages as you left them in this tab: open one by the menu above, set it up, and come back here."
)
NO_VIEW = "Choose a page that this tab has shown, or paste a link."
PREVIEW = 160
"""Characters of the notes in the list of views."""


def draw_views(engine: BackgroundEngine, talk: Talk, *, may_change: bool) -> None:
    """Draw the views in order, and the form that adds one."""
    titles = {run.key: run.title for run in engine.runs()}
    for position, view in enumerate(talk.views):
        with st.container(border=True):
            _draw_view(engine, talk, position, _words(view, titles), may_change)
            if may_change and st.session_state.get(EDITED) == position:
                _draw_edit_form(engine, talk, position, view)
    if may_change:
        _draw_add_form(engine, talk, titles)


def _words(view: View, titles: Mapping[str, str]) -> str:
    """Return what a view shows: its page and parameters, runs by their titles."""
    known = {
        name: " and ".join(titles[key] for key in value.split(","))
        for name, value in view.parameters.items()
        if all(key in titles for key in value.split(","))
    }
    rest = [f"{name} {value}" for name, value in view.parameters.items() if name not in known]
    return " · ".join([view.page.capitalize(), *known.values(), ", ".join(rest)]).removesuffix(" · ")


def _draw_view(engine: BackgroundEngine, talk: Talk, position: int, words: str, may_change: bool) -> None:
    view = talk.views[position]
    # Widgets have keys by position: the same view may be in a talk twice.
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{position + 1}** · {literal(view.title)}  \n:gray[{literal(words)}]",
            width="stretch",
        )
        # A row within the row: on a narrow page, all buttons are below the text.
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            _draw_buttons(engine, talk, position, may_change)
    if view.notes.strip():
        lines = [line.strip() for line in view.notes.splitlines() if line.strip()]
        more = "" if len(lines) == 1 and len(lines[0]) <= PREVIEW else " …"
        st.caption(f":material/speaker_notes: {with_lists(lines[0][:PREVIEW]).strip()}{more}")


def _draw_buttons(engine: BackgroundEngine, talk: Talk, position: int, may_change: bool) -> None:
    view = talk.views[position]
    st.page_link(
        explore() if view.page == HOME_PAGE else page_file(view.page),
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


def _edit(position: int | None) -> None:
    """Open the form of a view; close it if it is open."""
    st.session_state[EDITED] = None if st.session_state.get(EDITED) == position else position


def _draw_edit_form(engine: BackgroundEngine, talk: Talk, position: int, view: View) -> None:
    with st.form(f"present.form.{position}", border=False):
        link = _draw_link(f".{position}", f"/{view.link}")
        title, place, notes = _draw_fields(len(talk.views), position, f".{position}", view.title, view.notes)
        with st.container(horizontal=True):
            save = st.form_submit_button("Save", icon=":material/save:", type="primary")
            st.form_submit_button("Cancel", on_click=_edit, args=(None,))
        if save:
            change(_replace, engine, talk, position, place, link, title, notes)
            st.rerun()  # the row above was drawn with the old title


def _draw_add_form(engine: BackgroundEngine, talk: Talk, titles: Mapping[str, str]) -> None:
    end = len(talk.views)
    shown = {_words(view, titles): view for view in _visited_views()}
    with st.form("present.add", clear_on_submit=True):
        st.markdown("**Add a view**")
        left, right = st.columns(2)
        page = left.selectbox(
            "Page shown in this tab",
            list(shown),
            None,
            key="present.visited",
            placeholder="Choose a page" if shown else "No page was opened in this tab yet",
            help=VISITED_HELP,
        )
        with right:
            link = _draw_link()
        title, place, notes = _draw_fields(end + 1, end)
        # Not a callback, because it needs the form's values; the list above lags by a view until the rerun.
        if st.form_submit_button("Add this view", icon=":material/add:"):
            change(_add, engine, talk, place, link, shown.get(page or ""), title or page or "", notes)
            st.rerun()


def _visited_views() -> list[View]:
    """Return what this tab has shown last on each page, the last page first."""
    pages = {path or HOME_PAGE: parameters for path, parameters in visited().items()}
    return [
        View(title="", page=page, parameters=parameters)
        for page, parameters in pages.items()
        if page in PAGES
    ]


def _draw_link(suffix: str = "", link: str = "") -> str:
    return st.text_input(
        "Link to the view",
        link,
        key=f"present.link{suffix}",
        placeholder="https://…/compare?…",
        help=LINK_HELP,
    )


def _draw_fields(
    most: int, position: int, suffix: str = "", title: str = "", notes: str = ""
) -> tuple[str, int, str]:
    """Draw the other fields of a view and return its title, position and notes.

    Args:
        most: views that the talk will have.
        position: of the view, from 0.
    """
    left, right = st.columns([4, 1])
    return (
        left.text_input(
            "Title that the audience sees", title, key=f"present.title{suffix}", max_chars=MOST_TITLE
        ),
        right.number_input("Position", 1, most, position + 1, key=f"present.place{suffix}.{most}") - 1,
        st.text_area(
            "Notes for the speaker",
            notes,
            key=f"present.notes{suffix}",
            max_chars=MOST_NOTES,
            help=NOTES_HELP,
        ),
    )


def _replace(
    engine: BackgroundEngine, talk: Talk, position: int, place: int, link: str, title: str, notes: str
) -> None:
    """Store the talk with another view at a position, which is then moved to its place."""
    changed = talk.with_view(view_from_link(link, title, notes), position)
    engine.save_talk(changed.moved(position, place - position))


def _add(
    engine: BackgroundEngine, talk: Talk, place: int, link: str, page: View | None, title: str, notes: str
) -> None:
    """Store the talk with one more view: that of the link, else the page."""
    if link.strip():
        view = view_from_link(link, title, notes)
    elif page is not None:
        view = page.model_copy(update={"title": title.strip()[:MOST_TITLE], "notes": notes})
    else:
        raise StoreError(NO_VIEW)
    end = len(talk.views)
    engine.save_talk(talk.with_view(view).moved(end, place - end))
