"""The state of one browser tab: the fields of the form and the run on display, both also in the address.
Nothing here is shared between tabs.

The address is read when a tab opens it, or goes to it by a link or the browser's history. It is written as
soon as a run of the page knows what it shows, and before it draws that, so that Back in the middle of the
drawing leads to the view before. Coming from another page by the menu clears the address but not the session,
so an empty address then leaves the session as it is. Buttons act on the widget values at the moment of the
click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import Fault, PrunescopeError, RecipeError
from pages.widgets.explore import address, address_bar, replay
from pages.widgets.explore.controls import (
    DEFERRED,
    adopt_parameters,
    as_widgets_show,
    chosen_pruner,
    from_widgets,
    send_widgets,
    set_fields_later,
    start_manual,
    to_widgets,
)
from pages.widgets.explore.fields import Checked, Fields, check, defaults, fields_of, relevant, stands_for
from pages.widgets.explore.widget_values import note_sent, restore_unsent, set_value
from pages.widgets.page_setup import PAGE

if TYPE_CHECKING:
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine
    from engine.models.shape import ModelSummary
    from engine.recipe import Recipe

FOCUS, EVERYTHING, NUMBERS = address.FOCUS, "everything", "numbers"
COMPARED = "compared"
"""Session state: what the shown run is compared with, as in the address."""
DRAWN = "drawn"
"""Session state: present after a run of the page that reached its end."""
FOLLOW = "follow"
"""Session state: an address to follow as if a link had led there, after a click."""
HERE = ""
"""The URL path of this page."""
RECENT, MOST_RECENT = "recent", 8
"""Session state: the keys of the runs that the page has shown, the last one at the end; and how many."""
ACTED = "acted"
"""Session state: present after a click that started a run or opened a replay."""
STARTED = "started"
"""Session state: the keys of the runs that this tab has started."""


def open_session(engine: BackgroundEngine) -> Fields:
    """Return the form's fields: from the address if it is new, otherwise from the widgets."""
    state, drawn = st.session_state, st.session_state.pop(DRAWN, False)
    if not drawn:  # a request of the browser, such as a click, ended the last run of this page early
        restore_unsent()
    query = state.pop(FOLLOW, None)
    if query is None and _is_new(st.query_params.to_dict()):
        query = st.query_params.to_dict()
    if query is not None:
        address_bar.follow(query)
        state["run"] = query.get(address.RUN)
        set_value(FOCUS, query.get(FOCUS, EVERYTHING))
        state[COMPARED] = query.get(address.WITH, "")
        state["shown"] = _fields_of_run(engine, state["run"])
        state["fields"], state["complaints"] = address.read(query, state["shown"] or defaults())
        state["refused"] = ({}, ())  # fields, and what the engine found wrong with them
        to_widgets(state["fields"], query.get("pruner"))
        _open_replay(engine, state["run"], query.get(address.REPLAY))
        if _differs(state["fields"]):
            _leave_run()
    if not drawn:
        send_widgets(state["fields"])
    if DEFERRED in state:
        # here no widget is drawn yet
        to_widgets(from_widgets(state["fields"]) | state.pop(DEFERRED), chosen_pruner())
    adopt_parameters(state["fields"])
    if _is_edited():
        _leave_run()
    state["fields"] = from_widgets(state["fields"])
    return dict(state["fields"])


def check_form(engine: BackgroundEngine, fields: Fields, model: Answer[ModelSummary]) -> Checked:
    """Return the form's recipe, or everything that is wrong with it.

    That includes what the model does not allow and what the engine refused about these fields.
    """
    if model.value is not None:
        start_manual(fields, model.value.sizes)
    refused_fields, faults = st.session_state["refused"]
    known = list(faults) if refused_fields == fields else []  # any edit withdraws the refusal
    if model.failed and engine.status.state != "failed":  # the engine's failure is shown once, by the cost
        known.append(Fault("model", model.message))
    if engine.public is not None:
        stated = {fault.field for fault in known}
        known += [fault for fault in engine.public.policy.faults(fields) if fault.field not in stated]
    return check(fields, model.value, known)


def complaints() -> list[str]:
    """Return messages about mistakes in the address, or about why a run could not be started."""
    return list(st.session_state["complaints"])


def complain(error: PrunescopeError) -> None:
    """Have a message shown when the page runs again; for callbacks."""
    st.session_state["complaints"] = [str(error)]


def run_key() -> str | None:
    """Return the key of the run that was opened or started in this tab, until the form changes."""
    key: str | None = st.session_state["run"]
    return key


def shown_keys() -> list[str]:
    """Return the keys of the runs that this tab has shown, opened or found, the last one first."""
    return list(reversed(st.session_state.get(RECENT, [])))


def note_shown(key: str | None) -> None:
    """Note which run the page shows, if any."""
    if key is not None:
        others = [one for one in st.session_state.get(RECENT, []) if one != key]
        st.session_state[RECENT] = [*others, key][-MOST_RECENT:]


def was_started_here(key: str) -> bool:
    """Return whether this tab has started the run."""
    return key in st.session_state.get(STARTED, ())


def compared() -> str:
    """Return what the shown run is compared with: the key of a run, `dense`, or nothing."""
    key: str = st.session_state.get(COMPARED, "")
    return key


def compare_with(key: str) -> None:
    """Compare the shown run with another one; for callbacks."""
    st.session_state[COMPARED] = key


def focus() -> str:
    """Return the part of the run that this tab shows: `EVERYTHING`, `NUMBERS`, or the name of a chart."""
    part: str = st.session_state.get(FOCUS, EVERYTHING)
    return part


def show_everything() -> None:
    """Show all parts of the run in this tab; before they are drawn."""
    set_value(FOCUS, EVERYTHING)


def model() -> dict[str, str]:
    """Return the address parameters of the model in this tab's form; empty for the default model."""
    fields = st.session_state.get("fields") or {}
    return {
        name: fields[name]
        for name in ("model", "revision")
        if name in fields and fields[name] != defaults()[name]
    }


def write_address(fields: Fields) -> None:
    """Write the run and the fields to the address, before the page draws them."""
    shown, key = st.session_state["shown"], run_key()
    parameters = address.write(fields, [defaults(), *([shown] if shown else [])])
    if (pruner := chosen_pruner()) and stands_for(pruner, fields):
        parameters["pruner"] = pruner
    if focus() != EVERYTHING:
        parameters = {FOCUS: focus()} | parameters
    if compared():
        parameters = {address.WITH: compared()} | parameters
    playback = replay.current(key or next(iter(shown_keys()), ""))
    if playback is not None:
        key = playback.key
        if playback.since is None:  # a position that moves is not written
            parameters = {address.REPLAY: str(playback.position)} | parameters
    if key:
        parameters = {address.RUN: key} | parameters
    address_bar.write(parameters)


def note_drawn() -> None:
    """Note that this run of the page has reached its end."""
    note_sent()
    st.session_state[DRAWN] = True


def prune(engine: BackgroundEngine, *, again: bool = False) -> None:
    """Start the run of the form's recipe, or show it if it exists already; `again` computes it anyway."""
    fields = from_widgets(st.session_state["fields"])
    recipe = check(fields, None).recipe  # without the model's shape: the engine checks against it
    if recipe is not None:
        _submit(engine, fields, recipe, again=again)


def try_again(engine: BackgroundEngine, recipe: Recipe) -> None:
    """Start a run again that did not finish, or that is here without weights."""
    _submit(engine, dict(st.session_state["fields"]), recipe)
    # The button may be in a fragment, whose run does not draw the form: its widgets would lose their values.
    set_fields_later(dict(st.session_state["fields"]))


def cancel(engine: BackgroundEngine, key: str) -> None:
    """Cancel a run."""
    try:
        engine.cancel(key)
    except PrunescopeError as error:
        complain(error)


def watch(key: str) -> None:
    """Show a run as if its link had been opened."""
    st.session_state[FOLLOW] = {address.RUN: key}


def _submit(engine: BackgroundEngine, fields: Fields, recipe: Recipe, *, again: bool = False) -> None:
    state = st.session_state
    state["complaints"], state["refused"], state[ACTED] = [], ({}, ()), True
    try:
        state["run"] = engine.repeat(recipe) if again else engine.submit(recipe)
        state["shown"] = _fields_of_run(engine, state["run"])
    except RecipeError as error:
        state["refused"] = (fields, error.faults)
    except PrunescopeError as error:
        complain(error)
    else:
        state.setdefault(STARTED, set()).add(state["run"])
        if state["shown"]:  # a run has absolute paths: the form takes them over
            state["fields"] = fields | {name: state["shown"][name] for name in relevant(state["shown"])}
            to_widgets(state["fields"], chosen_pruner())


def _is_new(query: dict[str, str]) -> bool:
    """Return whether the address is to be followed: it is the tab's first, or the user has gone to it."""
    state = st.session_state
    acted = state.pop(ACTED, False)
    if "fields" not in state or address_bar.went_through_history():
        return True
    elsewhere = address_bar.is_elsewhere(query)
    if acted or _is_edited():
        return False
    # Coming from another page clears the address.
    return elsewhere and (bool(query) or state.get(PAGE) == HERE)


def _is_edited() -> bool:
    """Return whether the user has changed a field that has an effect since the last run of the page."""
    before: Fields = as_widgets_show(st.session_state["fields"])
    now = from_widgets(before)
    return any(before[name] != now[name] for name in relevant(now))


def _leave_run() -> None:
    """From now on the form decides which run is shown."""
    st.session_state["run"] = st.session_state["shown"] = None
    replay.end()


def _differs(fields: Fields) -> bool:
    """Return whether fields differ from the recipe of the opened run."""
    shown: Fields | None = st.session_state["shown"]
    return shown is not None and address.write(fields, [shown]) != {}


def _open_replay(engine: BackgroundEngine, key: str | None, position: str | None) -> None:
    """Open the replay that the address names, if any; an invalid position is reported."""
    replay.end()
    if key is None or position is None:
        return
    try:
        replay.begin(engine, key, int(position))
    except (ValueError, PrunescopeError):
        st.session_state["complaints"].append(
            f"The address has a replay at event {position}, which this run does not have. Showing the run."
        )


def _fields_of_run(engine: BackgroundEngine, key: str | None) -> Fields | None:
    try:
        recipe = engine.view(key).record.recipe if key else None
    except PrunescopeError:
        return None
    return fields_of(recipe) if recipe else None
