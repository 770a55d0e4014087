"""Talks as a whole: a new one, another name, a file to export or import, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.store.default_talk import default_talk
from engine.store.talk import DEFAULT, MOST_NAME, Talk, to_file
from pages.widgets.literal import literal
from pages.widgets.present.changes import Removal, change, choose_next

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

COPY, BUNDLED, EMPTY = "A copy of this talk", "The default 10-minute talk", "No views"
FILE_HELP = "A talk that was exported as JSON. Its links are to pages of this app; runs are not part of it."


def draw_export(talk: Talk) -> None:
    """Draw the download of a talk as one file."""
    st.download_button(
        "Export",
        to_file(talk),
        f"{talk.name}.json",
        "application/json",
        key="present.export",
        icon=":material/download:",
        on_click="ignore",
        help="The views, titles and notes as one JSON file, for another machine.",
    )


def draw_management(engine: BackgroundEngine, name: str, talk: Talk | None) -> None:
    """Draw what creates, renames, imports and deletes talks.

    Args:
        talk: the talk of this name; None if its file is damaged.
    """
    with st.expander("New, rename, import, delete", icon=":material/folder_open:"):
        new, rename, file = st.columns(3, gap="medium")
        with new:
            _draw_new(engine, talk)
        with rename:
            _draw_rename(engine, name)
            _draw_delete(engine, name, talk)
        with file, st.form("present.import", border=False, clear_on_submit=True):
            upload = st.file_uploader("Talk from a file", ["json"], key="present.file", help=FILE_HELP)
            # Not a callback, because it needs the form's values.
            if st.form_submit_button("Import", icon=":material/upload_file:") and upload is not None:
                change(_import, engine, upload.getvalue(), upload.name)
                st.rerun()  # the list above was drawn without the talk


def _draw_new(engine: BackgroundEngine, talk: Talk | None) -> None:
    with st.form("present.new", border=False, clear_on_submit=True):
        name = st.text_input("Name of the new talk", key="present.name", max_chars=MOST_NAME)
        starts = {EMPTY: Talk(), BUNDLED: default_talk()} | ({COPY: talk} if talk else {})
        begin = st.selectbox("It begins with", list(starts), index=len(starts) - 1, key="present.begin")
        if st.form_submit_button("Create", icon=":material/add:"):
            change(_add, engine, starts[begin].named(" ".join(name.split())))
            st.rerun()


def _draw_rename(engine: BackgroundEngine, name: str) -> None:
    # The key makes the input a different one for each talk.
    with st.form("present.rename", border=False):
        new = st.text_input("Name of this talk", name, key=f"present.rename.{name}", max_chars=MOST_NAME)
        if st.form_submit_button("Rename", icon=":material/edit:"):
            change(_rename, engine, name, new)
            st.rerun()


def _draw_delete(engine: BackgroundEngine, name: str, talk: Talk | None) -> None:
    if name == DEFAULT:
        st.button(
            "Reset to the default 10-minute talk",
            key="present.usual",
            icon=":material/restart_alt:",
            disabled=talk == default_talk(),
            on_click=_delete,
            args=(engine, name, talk),
        )
    else:
        st.button(
            "Delete this talk",
            key="present.delete",
            icon=":material/delete:",
            on_click=_delete,
            args=(engine, name, talk),
        )


def _delete(engine: BackgroundEngine, name: str, talk: Talk | None) -> None:
    removal = None
    if talk is not None and name == DEFAULT:
        removal = Removal("The default talk was reset.", talk, engine.save_talk)
    elif talk is not None:
        removal = Removal(f"The talk “{literal(name)}” was deleted.", talk, engine.add_talk)
    if change(engine.delete_talk, name, removal=removal):
        choose_next(DEFAULT)


def _add(engine: BackgroundEngine, talk: Talk) -> None:
    engine.add_talk(talk)
    choose_next(talk.name)


def _rename(engine: BackgroundEngine, name: str, new: str) -> None:
    choose_next(engine.rename_talk(name, new))


def _import(engine: BackgroundEngine, content: bytes, file: str) -> None:
    choose_next(engine.import_talk(content, file))
