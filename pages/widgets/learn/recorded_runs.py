"""Runs in the lessons: bundled runs, and a run that the user starts.

Only the steps of a lesson call these functions: by then, everything that takes time to import is imported.
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


def find_run(engine: BackgroundEngine, recipe: Recipe) -> RunView | None:
    """Return the current state of a recipe's run, None if there is no such run."""
    try:
        return engine.view(pin(recipe).key)  # a run's key is that of the pinned recipe
    except StoreError:
        return None


def finished_record(engine: BackgroundEngine, recipe: Recipe) -> RunRecord | None:
    """Return the record of a recipe's run, None unless the run is finished."""
    run = find_run(engine, recipe)
    return run.record if run is not None and run.state == "finished" else None


def finished_records(engine: BackgroundEngine, recipes: Sequence[Recipe]) -> list[RunRecord]:
    """Return the records of all these runs; if one is missing, draw a notice and return an empty list."""
    records = [finished_record(engine, recipe) for recipe in recipes]
    finished = [record for record in records if record is not None]
    if len(finished) == len(records):
        return finished
    draw_missing_notice()
    return []


def finished_by_name(
    engine: BackgroundEngine, recipes: Mapping[str, Sequence[Recipe]]
) -> dict[str, list[RunRecord]]:
    """Return the records of several lists of runs by name; as `finished_records`, empty if one is missing."""
    flat = iter(finished_records(engine, [recipe for each in recipes.values() for recipe in each]))
    # each takes its share of the same iterator
    by_name = {name: list(islice(flat, len(each))) for name, each in recipes.items()}
    return by_name if all(by_name.values()) else {}


def draw_missing_notice() -> None:
    """Say that the bundled runs of a chart are missing."""
    st.info(
        "The bundled runs for this chart are not part of this installation. "
        "The rest of the lesson works without them.",
        icon=":material/inventory_2:",
    )


def submit(engine: BackgroundEngine, recipe: Recipe, error_key: str) -> None:
    """Start a run; an error message is stored in the session under `error_key`."""
    st.session_state.pop(error_key, None)
    try:
        engine.submit(pin(recipe))
    except PrunescopeError as error:
        st.session_state[error_key] = str(error)
