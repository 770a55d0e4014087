"""Explore in a talk, before the click: what is about to happen in a line, and the button, for there is no sidebar to press it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.widgets import session
from pages.widgets.fields import Checked

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine


def draw_stage(engine: BackgroundEngine, checked: Checked) -> None:
    """The recipe's title and the button."""
    recipe = checked.recipe
    st.header(recipe.title if recipe else "This recipe cannot be run", anchor=False)
    if recipe is None:
        st.markdown("  \n".join(sentence for sentences in checked.faults.values() for sentence in sentences))
    start = {"type": "primary", "icon": ":material/play_arrow:", "disabled": recipe is None}
    st.button("Prune", key="prune.stage", on_click=session.prune, args=(engine,), **start)  # type: ignore[arg-type]
