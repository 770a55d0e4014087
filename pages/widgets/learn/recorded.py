"""What lessons ask of the engine in the background: recorded runs, and a run of one's own. A lesson asks in
its steps, when all is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError, StoreError
from engine.recipe import Recipe, pin
from engine.record import RunRecord

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView


def view(engine: BackgroundEngine, recipe: Recipe) -> RunView | None:
    """The run of a recipe as it is now, None where there is none."""
    try:
        return engine.view(pin(recipe).key)
    except StoreError:
        return None


def finished(engine: BackgroundEngine, recipe: Recipe) -> RunRecord | None:
    """The record of a finished run, None where there is none."""
    found = view(engine, recipe)
    return found.record if found is not None and found.state == "finished" else None


def all_finished(engine: BackgroundEngine, recipes: Sequence[Recipe]) -> list[RunRecord]:
    """The records of all of these runs, or an empty list and a sentence on the page where one is not there."""
    records = [finished(engine, recipe) for recipe in recipes]
    found = [record for record in records if record is not None]
    if len(found) == len(records):
        return found
    draw_missing()
    return []


def by_name(engine: BackgroundEngine, recipes: Mapping[str, Sequence[Recipe]]) -> dict[str, list[RunRecord]]:
    """As `all_finished`, for several lists of runs by what they are called; empty where one is not there."""
    flat = iter(all_finished(engine, [recipe for each in recipes.values() for recipe in each]))
    found = {name: list(islice(flat, len(each))) for name, each in recipes.items()}
    return found if all(found.values()) else {}


def draw_missing() -> None:
    """Say that a drawing has to be done without."""
    st.info(
        "Here stand runs that come with the project, but they are not in this installation. Everything else of the lesson works without them.",
        icon=":material/inventory_2:",
    )


def submit(engine: BackgroundEngine, recipe: Recipe, complaint: str) -> None:
    """Start a run; what is wrong goes into the session under the name `complaint`."""
    st.session_state.pop(complaint, None)
    try:
        engine.submit(pin(recipe))
    except PrunescopeError as error:
        st.session_state[complaint] = str(error)
