"""The runs whose models read and write: chosen from the finished ones, with their keys in the address; those
without weights are computed on request. And the questions to those models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine import numbers
from engine.jobs.questions import Answer
from engine.jobs.requests import ReadRequest
from engine.store.summary import RunSummary
from pages.widgets.compute_here import draw_compute_here
from pages.widgets.literal import literal
from pages.widgets.live import draw_turn, live, show_error
from pages.widgets.run_picker import MORE, OFFERED, labels, offered

if TYPE_CHECKING:
    from engine.evaluation.text_types import Reading
    from engine.jobs.service import BackgroundEngine

WALK = "From 0 to 90 %"
"""The first section of the page: the sparsity slider."""
SIDE_BY_SIDE = (("wanda", 0.6), ("magnitude", 0.6))
"""Pruners and sparsities of the runs that the other sections begin with."""
MOST = 4  # runs that can be chosen together
WAITING = "The model is loaded, then reads and continues the text. A large model takes a while."
POLL = 0.5  # seconds
Answers = dict[ReadRequest, Answer[Any]]
"""Of readings."""


def ask(engine: BackgroundEngine, requests: Sequence[ReadRequest]) -> Answers:
    """Ask for all readings, the first of them with the highest priority.

    The engine sends the very first question immediately and after that always the newest, so the most urgent
    request is asked both first and last.
    """
    answers = {request: engine.read(request) for request in (*requests[:1], *reversed(requests))}
    return {request: answers[request] for request in requests}


def ask_in_turn(engine: BackgroundEngine, requests: Sequence[ReadRequest], urgent: int) -> Answers:
    """Ask for the first `urgent` readings, and for the others only once those are answered: they would take
    processor time from the urgent ones and from the browser that draws them.
    """
    answers = ask(engine, requests[:urgent])
    others = requests[urgent:]
    if any_pending(answers):
        return answers | dict.fromkeys(others, Answer(pending=True))  # unasked, shown as pending
    return answers | ask(engine, others)


def any_pending(answers: Answers) -> bool:
    return any(answer.pending for answer in answers.values())


def draw_answers(
    part: str, engine: BackgroundEngine, requests: Sequence[ReadRequest], draw: Callable[[Answers], None]
) -> None:
    """Draw the answers as they arrive, each while the others are still pending."""
    live(part, lambda: ask(engine, requests), draw, left=any_pending)


def reading_or_placeholder(
    engine: BackgroundEngine, answer: Answer[Reading], height: int = 130
) -> Reading | None:
    """Return the reading; if there is none, draw an error or a placeholder of `height` pixels instead."""
    if answer.failed:
        show_error(answer.message)
    elif answer.value is None:
        st.skeleton(height=height)
        starting = engine.status.state != "ready"
        st.caption(literal(engine.status.message) if starting else WAITING)
        draw_turn([answer])
    return answer.value


def choose_runs(runs: Sequence[RunSummary], first: Sequence[str]) -> list[RunSummary]:
    """Let the user choose up to `MOST` runs of one model; the address names them as `?runs=KEY,KEY`.

    Args:
        first: keys of the runs to begin with, as far as they exist.
    """
    by_key = {run.key: run for run in runs}
    requested = [key for key in (st.query_params.get("runs") or "").split(",") if key]
    default = [key for key in first if key in by_key]
    if requested and requested != st.session_state.get("generate.asked"):
        st.session_state["generate.asked"] = requested
        # Streamlit raises an error for more than `max_selections`
        st.session_state["generate.runs"] = [key for key in requested if key in by_key][:MOST] or default
        for key in requested:
            if key not in by_key:
                st.warning(
                    f"The address names the run {literal(key)}, but there is no finished run with that key "
                    "here. It is left out.",
                    icon=":material/info:",
                )
    options = offered(runs, st.session_state.get("generate.runs") or default)
    keys = st.multiselect(
        "Runs",
        options,
        default,
        help=MORE if len(runs) > OFFERED else None,
        format_func=labels([by_key[key] for key in options]).__getitem__,
        key="generate.runs",
        max_selections=MOST,
    )
    if keys and keys != requested:
        st.query_params["runs"] = ",".join(keys)
        st.session_state["generate.asked"] = keys  # the next run must not take this for a new address
    return _of_one_model([by_key[key] for key in keys])


def _of_one_model(runs: list[RunSummary]) -> list[RunSummary]:
    """Return the runs of the first run's model: all texts are compared with one dense text."""
    models = [run.recipe.model_identity if run.recipe else None for run in runs]
    others = [run.title for run, model in zip(runs, models, strict=True) if model != models[0]]
    if others:
        st.warning(
            f"{numbers.listed(others)} left out: all texts are compared with the dense model's, and this is "
            "a different model.",
            icon=":material/info:",
        )
    return [run for run, model in zip(runs, models, strict=True) if model == models[0]]


def with_weights(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs that have weights here, and offer to compute the others; they join once finished."""
    missing = [run.record for run in runs if not run.has_weights and run.record is not None]
    if missing:
        draw_compute_here(engine, missing, "generate.compute")
    return [run for run in runs if run.has_weights]
