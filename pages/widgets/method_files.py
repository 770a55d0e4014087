"""The user's method files (`PRUNESCOPE_METHODS`): loaded for every page, and again when they change."""

from __future__ import annotations

import os

import streamlit as st

from engine.registry import METHOD_FILES
from pages.widgets.literal import literal
from pages.widgets.public_mode import policy

OFF = f"The method files in {METHOD_FILES} are not loaded: methods of your own are off in public mode."


def load_method_files() -> list[str]:
    """Load the files that are new or have changed, and return sentences about those that do not load."""
    if not os.environ.get(METHOD_FILES):
        return []  # without importing the registries, and with them torch
    if policy() is not None:
        return [OFF]
    from engine.pruning.method_files.loading import listed, refresh

    return refresh(listed())


def draw_faults(sentences: list[str]) -> None:
    """Draw what is wrong with method files."""
    for sentence in sentences:
        st.warning(literal(sentence), icon=":material/extension_off:")
