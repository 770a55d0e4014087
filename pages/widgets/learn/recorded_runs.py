"""Runs in the lessons: bundled runs, and a run that the user starts.

Only the steps of a lesson call these functions: by then, everything that takes time to import is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import PrunescopeError, StoreError
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from pages.widgets.learn.controls import controls_locked
from pages.widgets.live import show_error
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView


def find_run(engine: BackgroundEngine, recipe: Recipe) -> RunView | None:
    """Return the current state of a recipe's run, None if there is no such run."""
    try:
        return engine.view(_key(recipe.model_dump_json()))
    except StoreError:
        return None


@lru_cache(maxsize=256)  # pinning takes 0.5 ms, and a step has twenty recipes
def _key(recipe: str) -> str:
    """Return the key of a recipe's run: that of the pinned recipe. The lessons' recipes name nothing on the
    disk but the bundled model and text, which stay the same.
    """
    return pin(Recipe.model_validate_json(recipe)).key


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


def draw_start(
    engine: BackgroundEngine, recipes: Sequence[Recipe], key: str, label: str, *, ready: bool, about: str
) -> None:
    """Draw the button that starts runs, and why the engine refused them if it did.

    Args:
        recipes: those of them that are running, waiting or finished are not started again.
        key: of the button, `LESSON.name`.
        label: of the button.
        ready: whether the user may start them.
        about: what the runs do and how long they take, as the button's help.
    """
    missing = [recipe for recipe in recipes if not _is_started(find_run(engine, recipe))]
    complaint = f"{key}.complaint"
    st.button(
        label,
        icon=":material/flag:",
        key=key,
        type="primary",
        disabled=not ready or not missing or controls_locked(),
        help=about,
        on_click=_submit,
        args=(engine, missing, complaint),
    )
    if complaint in st.session_state:
        show_error(st.session_state[complaint])


def _is_started(run: RunView | None) -> bool:
    # a failed or cancelled run can be started again
    return run is not None and (run.active or run.state == "finished")


def _submit(engine: BackgroundEngine, recipes: Sequence[Recipe], complaint: str) -> None:
    """Start runs; the first error message is stored in the session under `complaint`."""
    st.session_state.pop(complaint, None)
    try:
        for recipe in recipes:
            engine.submit(pin(recipe))
    except PrunescopeError as error:
        st.session_state[complaint] = str(error)


def draw_run(run: RunView | None, draw: Callable[[RunRecord], None] | None = None) -> None:
    """Draw the progress of a run that the user started, its error, or its result by `draw`."""
    if run is None:
        return
    if run.active:
        st.progress(share(run), text=progress_words(run))
    elif run.state != "finished":
        show_error(run.record.error or run.message or "This run was cancelled.")
    elif draw is not None:
        draw(run.record)
