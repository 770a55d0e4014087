"""Choosing among the runs that are there: a list of titles on the page, their keys in the address
(`?run=KEY`, or another parameter's name).

Streamlit writes an option's words into the address by itself, and a run's words are neither short nor its
name; so the key is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.store.runs import RunSummary

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def finished_runs(engine: BackgroundEngine) -> list[RunSummary]:
    """The runs that can be looked at: one's own, the last changed first, then the recorded ones, by pruner
    and sparsity.
    """
    runs = [run for run in engine.runs() if run.state == "finished" and run.recipe is not None]
    own, recorded = [run for run in runs if not run.recorded], [run for run in runs if run.recorded]
    return [
        *own,
        *sorted(
            recorded,
            key=lambda run: (
                (_family(run), run.recipe.pattern, run.recipe.sparsity) if run.recipe else ("", "", 0.0)
            ),
        ),
    ]


def pick_run(
    runs: Sequence[RunSummary],
    label: str,
    parameter: str = "run",
    *,
    first: str | None = None,
    disabled: bool = False,
) -> RunSummary | None:
    """A list to choose a run from; what the address asks for comes first, and a key that is not there is
    said.

    Args:
        runs: the runs to choose from.
        parameter: the address's name for this choice.
        first: the key to begin with, where it is there; else the first run.

    Returns:
        The chosen run, None where there is none to choose.
    """
    found = {run.key: run for run in runs}
    widget = f"pick.{parameter}"
    _follow_address(widget, parameter, found)
    if not found:
        return None
    options = list(found)
    # kept apart, for the words of a run change when it goes on, and with them Streamlit forgets the choice
    chosen = f"{widget}.chosen"
    if st.session_state.get(chosen) not in found:
        st.session_state[chosen] = first if first in found else options[0]
    st.session_state[widget] = st.session_state[chosen]
    st.selectbox(
        label,
        options,
        format_func=lambda key: words(found[key]),
        key=widget,
        on_change=_choose,
        args=(widget,),
        disabled=disabled,
    )
    key: str = st.session_state[chosen]
    _write_address(widget, parameter, key)
    return found[key]


def usual_keys(runs: Sequence[RunSummary], *wanted: tuple[str, float]) -> list[str]:
    """Keys of runs of the bundled model as pruners and sparsities, where they are there: what a page shows
    before anybody has chosen.
    """
    found = {
        (run.recipe.pruner, run.recipe.sparsity): run.key
        for run in reversed(runs)
        if run.recipe
        and run.recipe.model == "demo"
        and (run.recipe.allocation, run.recipe.pattern, run.recipe.seed) == ("uniform", "unstructured", 0)
    }
    return [found[one] for one in wanted if one in found]


def words(run: RunSummary) -> str:
    """A run in a line: its recipe, what came of it, and where it is from."""
    score = run.record.pruned if run.record else None
    result = f" · perplexity {numbers.perplexity(score.perplexity)}" if score else ""
    return f"{run.title}{result}{' · recorded' if run.recorded else ''}"


def _choose(widget: str) -> None:
    """Take over what a person has picked."""
    st.session_state[f"{widget}.chosen"] = st.session_state[widget]


def _family(run: RunSummary) -> str:
    assert run.recipe is not None, "only runs with a recipe are listed"
    return f"{run.recipe.pruner} {run.recipe.allocation}"


def _follow_address(widget: str, parameter: str, found: dict[str, RunSummary]) -> None:
    """Take over a key that has newly come into the address."""
    asked = st.query_params.get(parameter)
    if asked is None or asked == st.session_state.get(f"{widget}.address"):
        return
    st.session_state[f"{widget}.address"] = asked
    if asked in found:
        st.session_state[f"{widget}.chosen"] = asked
    else:
        st.warning(
            f"The address asks for the run {asked}, but there is no finished run of that key here; another one is shown.",
            icon=":material/info:",
        )


def _write_address(widget: str, parameter: str, key: str) -> None:
    if st.query_params.get(parameter) != key:
        st.query_params[parameter] = key
        st.session_state[f"{widget}.address"] = key
