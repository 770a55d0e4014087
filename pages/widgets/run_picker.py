"""Choosing a run: a list of titles on the page, the chosen key in the address (`?run=KEY`, or another
parameter).

Streamlit's own binding would write the option's label into the address, which is long and not unique; so this
module writes the key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import streamlit as st

from engine import numbers
from engine.models.identity import DEMO
from engine.store.summary import RunSummary
from pages.widgets.literal import literal

OFFERED = 1_000
"""Runs that a list offers besides the bundled ones: more would slow down the browser."""
MORE = f"The {OFFERED:,} runs that changed last. Open older ones from Runs."


def offered(runs: Sequence[RunSummary], chosen: Collection[str]) -> list[str]:
    """Return the keys of the first `OFFERED` runs, of all bundled ones, and those that are chosen already."""
    return [run.key for place, run in enumerate(runs) if place < OFFERED or run.recorded or run.key in chosen]


def finished_runs(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the finished runs: the user's in their order, then the bundled ones by model, pruner and
    sparsity.
    """
    runs = [run for run in runs if run.state == "finished" and run.recipe is not None]
    own, recorded = [run for run in runs if not run.recorded], [run for run in runs if run.recorded]
    return [
        *own,
        *sorted(
            recorded,
            key=lambda run: (
                (run.recipe.model != DEMO, run.pruner_and_allocation, run.recipe.pattern, run.recipe.sparsity)
                if run.recipe
                else (False, "", "", 0.0)
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
    """Let the user choose a run. A run named by the address is preselected; an unknown key gives a warning.
    The caller writes the choice into the address by `write_runs`.

    Args:
        runs: the runs to choose from.
        parameter: name of the query parameter.
        first: the key that is preselected otherwise, if it exists; else the first run.

    Returns:
        The chosen run, None if there are no runs.
    """
    by_key = {run.key: run for run in runs}
    widget = f"pick.{parameter}"
    _follow_address(widget, parameter, by_key)  # before the widget is drawn, because it sets its value
    if not by_key:
        return None
    # stored separately: a run's label changes as it progresses, and Streamlit then resets the choice
    chosen = f"{widget}.chosen"
    if st.session_state.get(chosen) not in by_key:
        st.session_state[chosen] = first if first in by_key else runs[0].key
    st.session_state[widget] = st.session_state[chosen]  # before the widget is drawn; later is an error
    options = offered(runs, [st.session_state[chosen]])
    st.selectbox(
        label,
        options,
        help=MORE if len(runs) > OFFERED else None,
        format_func=labels([by_key[one] for one in options]).__getitem__,
        key=widget,
        on_change=_choose,
        args=(widget,),
        disabled=disabled,
    )
    return by_key[st.session_state[chosen]]


def write_runs(keys: Mapping[str, str]) -> None:
    """Write the chosen runs, by parameter, into the address: all at once, because each writing is an entry in
    the browser's history.
    """
    if any(st.query_params.get(parameter) != key for parameter, key in keys.items()):
        st.query_params.update(keys)
    for parameter, key in keys.items():
        st.session_state[f"pick.{parameter}.address"] = key  # its own writing is not a new address


def usual_keys(runs: Sequence[RunSummary], *wanted: tuple[str, float]) -> list[str]:
    """Return the keys of the bundled model's runs with these pruners and sparsities, as far as they exist:
    what a page shows by default.
    """
    found = {
        (run.recipe.pruner, run.recipe.sparsity): run.key
        for run in reversed(runs)  # of runs with equal choices, the first listed wins
        if run.recipe
        and not run.imported
        and run.recipe.model == "demo"
        and (run.recipe.allocation, run.recipe.pattern, run.recipe.seed) == ("uniform", "unstructured", 0)
    }
    return [found[one] for one in wanted if one in found]


def words(run: RunSummary) -> str:
    """Return a run's label: its recipe, its perplexity, and whether it is bundled."""
    score = run.record.pruned if run.record else None
    result = f" · perplexity {numbers.perplexity(score.perplexity)}" if score else ""
    return f"{run.title}{result}{' · recorded' if run.recorded else ''}"


def labels(runs: Sequence[RunSummary], label: Callable[[RunSummary], str] = words) -> dict[str, str]:
    """Return the runs' labels by key. Equal ones get the end of the key: Streamlit knows options by label."""
    texts = {run.key: label(run) for run in runs}
    counts = Counter(texts.values())
    return {key: text if counts[text] == 1 else f"{text} · {key[-6:]}" for key, text in texts.items()}


def _choose(widget: str) -> None:
    """Store what the user has picked."""
    st.session_state[f"{widget}.chosen"] = st.session_state[widget]


def _follow_address(widget: str, parameter: str, by_key: dict[str, RunSummary]) -> None:
    """Select the run that the address names, if the address is new."""
    asked = st.query_params.get(parameter)
    # An address that was followed once must not undo the user's choice on every run of the page.
    if asked is None or asked == st.session_state.get(f"{widget}.address"):
        return
    st.session_state[f"{widget}.address"] = asked
    if asked in by_key:
        st.session_state[f"{widget}.chosen"] = asked
    else:
        st.warning(
            f"The address names the run {literal(asked)}, but there is no finished run with that key "
            "here. Another run is shown.",
            icon=":material/info:",
        )
