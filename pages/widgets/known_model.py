"""Models whose bundled runs are here, but whose files are not: what they are, and how to get them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.models.identity import path_fault
from engine.models.known_files import KNOWN_FILES, KnownFile
from engine.recipe import Recipe
from pages.widgets.literal import literal


def is_absent(recipe: Recipe) -> bool:
    """Return whether a recipe names a model file or directory that is not on this machine."""
    return path_fault(recipe.model, recipe.revision) is not None


def draw_how_to_get(file: KnownFile, key: str = "known") -> None:
    """Draw a popover with the commands that get a file, and where to give its path."""
    with st.popover("Get this model", icon=":material/download:", key=f"{key}.get"):
        st.markdown(f"{file.origin} Licence {file.licence}.")
        st.code("\n".join(file.commands), language="bash")
        st.markdown(
            f"Then type the path of `{file.name}` as the model on Explore, or give it to the command line as "
            "`--model`. Runs of the same file continue the bundled ones, wherever it is."
        )


def draw_absent(recipe: Recipe, title: str, key: str) -> None:
    """Say that a run cannot be computed here, because its model is not on this machine, and how to get it."""
    file = KNOWN_FILES.get(recipe.model)
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"{title}: only the results are here, without weights, and the model "
            f"{literal(Path(recipe.model).name)} is not on this machine.",
            width="stretch",
        )
        if file is not None:
            draw_how_to_get(file, key)
