"""What one tab holds: the form's fields, the run it shows, and both of them in the address. Nothing here is
shared between tabs.

The address is read when a tab opens it (or its back button is used), and written after every run of the page.
Coming back from another page clears the address but not the session, so an empty address leaves the session
as it is. Buttons act on what the widgets hold when they are pressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import Fault, PrunescopeError, RecipeError
from pages.widgets.explore import address, replay
from pages.widgets.explore.controls import from_widgets, to_widgets
from pages.widgets.explore.fields import Checked, Fields, check, defaults, fields_of, relevant
from pages.widgets.explore.recipe_form import begin_manual
from pages.widgets.live import is_redraw

if TYPE_CHECKING:
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine
    from engine.models.shape import ModelSummary
    from engine.recipe import Recipe

FOCUS, EVERYTHING, NUMBERS = "focus", "everything", "numbers"


def open_session(engine: BackgroundEngine) -> Fields:
    """The form's fields, from the address where it is new, else as the widgets have them."""
    state, parameters = st.session_state, st.query_params.to_dict()
    if "fields" not in state or (parameters and parameters != state["address"] and not is_redraw()):
        state["address"] = parameters  # at once: a press may cut this run off before its end
        state["run"] = parameters.get(address.RUN)
        state[FOCUS] = parameters.get(address.FOCUS, EVERYTHING)
        state["shown"] = _fields_of_run(engine, state["run"])
        state["fields"], state["complaints"] = address.read(parameters, state["shown"] or defaults())
        state["refused"] = ({}, ())
        to_widgets(state["fields"])
        _open_replay(engine, state["run"], parameters.get(replay.PARAMETER))
    if "put" in state:  # what a widget further down wants to stand in one that was drawn before it
        to_widgets(from_widgets(state["fields"]) | state.pop("put"))
    state["fields"] = from_widgets(state["fields"])
    return dict(state["fields"])


def check_form(engine: BackgroundEngine, fields: Fields, summary: Answer[ModelSummary]) -> Checked:
    """The form's recipe, or everything that is wrong: with the recipe, with the model, and what the engine
    refused about these fields.
    """
    if summary.value is not None:
        begin_manual(fields, summary.value.sizes)
    refused_fields, faults = st.session_state["refused"]
    known = list(faults) if refused_fields == fields else []
    if summary.failed and engine.status.state != "failed":
        known.append(Fault("model", summary.message))
    return check(fields, summary.value, known)


def complaints() -> list[str]:
    """What the address got wrong, or why nothing could be started, a sentence each."""
    return list(st.session_state["complaints"])


def run_key() -> str | None:
    """The run that this tab shows."""
    key: str | None = st.session_state["run"]
    return key


def focus() -> str:
    """Which part of the run this tab shows: `EVERYTHING`, `NUMBERS`, or a chart's name."""
    part: str = st.session_state.get(FOCUS, EVERYTHING)
    return part


def model() -> dict[str, str]:
    """What an address says of the model that this tab works with; empty for the one that it begins with."""
    fields = st.session_state.get("fields") or {}
    return {
        name: fields[name]
        for name in ("model", "revision")
        if name in fields and fields[name] != defaults()[name]
    }


def has_changed(fields: Fields) -> bool:
    """Whether the form says something else than the run that is shown."""
    shown: Fields | None = st.session_state["shown"]
    return shown is not None and address.write(fields, [shown]) != {}


def write_address(fields: Fields) -> None:
    """Put the run and the fields into the address."""
    shown = st.session_state["shown"]
    parameters = address.write(fields, [defaults(), *([shown] if shown else [])])
    if run_key():
        playing = replay.current(str(run_key()))
        stands = (
            {replay.PARAMETER: str(playing.place)} if playing is not None and playing.since is None else {}
        )
        part = {address.FOCUS: focus()} if focus() != EVERYTHING else {}
        parameters = {address.RUN: str(run_key()), **part, **stands, **parameters}
    if st.query_params.to_dict() != parameters:
        st.query_params.from_dict(parameters)
    st.session_state["address"] = parameters


def prune(engine: BackgroundEngine) -> None:
    """Start what the form says now, or show it where it was computed before."""
    fields = from_widgets(st.session_state["fields"])
    recipe = check(fields, None).recipe
    if recipe is not None:
        _submit(engine, fields, recipe)


def try_again(engine: BackgroundEngine, recipe: Recipe) -> None:
    """Start a run that did not finish once more."""
    _submit(engine, dict(st.session_state["fields"]), recipe)
    st.session_state["put"] = dict(
        st.session_state["fields"]
    )  # the button stands in a part that is drawn by itself


def cancel(engine: BackgroundEngine, key: str) -> None:
    """Ask a run to stop."""
    try:
        engine.cancel(key)
    except PrunescopeError as error:
        st.session_state["complaints"] = [str(error)]


def watch(key: str) -> None:
    """Show a run as if its link had been opened."""
    st.query_params.from_dict({address.RUN: key})


def _submit(engine: BackgroundEngine, fields: Fields, recipe: Recipe) -> None:
    state = st.session_state
    state["complaints"], state["refused"] = [], ({}, ())
    try:
        state["run"] = engine.submit(recipe)
        state["shown"] = _fields_of_run(engine, state["run"])
    except RecipeError as error:
        state["refused"] = (fields, error.faults)
    except PrunescopeError as error:
        state["complaints"] = [str(error)]
    else:
        if state["shown"]:  # a file's path is made absolute in a run: the form says it as the run does
            state["fields"] = fields | {name: state["shown"][name] for name in relevant(state["shown"])}
            to_widgets(state["fields"])


def _open_replay(engine: BackgroundEngine, key: str | None, place: str | None) -> None:
    """The replay that the address asks for, none where it asks for none or for nonsense."""
    replay.end()
    if key is None or place is None:
        return
    try:
        replay.begin(engine, key, int(place))
    except (ValueError, PrunescopeError):
        st.session_state["complaints"].append(
            f"The address asks for the replay at event {place} of this run, which is not there; the run is shown."
        )


def _fields_of_run(engine: BackgroundEngine, key: str | None) -> Fields | None:
    try:
        recipe = engine.view(key).record.recipe if key else None
    except PrunescopeError:
        return None
    return fields_of(recipe) if recipe else None
