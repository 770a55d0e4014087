"""From 0 to 90 %: a slider that walks through the runs of one pruner, and the text that each of them writes.
What is looked at is written first, then all others, the nearest first, so that the slider finds them there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.generate.sparsity_line import sparsity_line
from engine.charts.generate.token_text import legend, token_text
from engine.evaluation.text_types import Reading, first_difference
from engine.jobs.questions import Answer
from engine.jobs.requests import ReadRequest
from engine.store.runs import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.generate.lines import LEAST, Stop, walkable
from pages.widgets.generate.run_choice import (
    POLL,
    Answers,
    any_pending,
    ask_in_turn,
    reading_or_placeholder,
    with_weights,
)
from pages.widgets.generate.side_by_side import agreement
from pages.widgets.generate.text import TOKENS, prompt_of
from pages.widgets.live import live

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

STEP = 1.6
"""Seconds that each text stands while the walk goes by itself."""
LOOKED_AT = 2
"""The text at the slider and the dense one that it is held against."""
PLAYING = "walk.playing"
"""When the present text came up, on the monotonic clock; not there while nothing plays."""


def draw_walk(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """The pruner, the prompt, and the stage on which the text falls apart."""
    lines = walkable(runs)
    if not lines:
        st.info(
            f"A walk needs {LEAST} runs of one pruner. Start a sweep on Compare.",
            icon=":material/directions_walk:",
        )
        return
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    name = left.selectbox("Pruner", list(lines), key="walk", bind="query-params") or next(iter(lines))
    with right:
        prompt = prompt_of()
    with_weights(engine, [stop.run for stop in lines[name] if stop.run is not None])
    if not prompt.strip():
        st.caption("Type a beginning; the models continue it.")
        return
    line = tuple(stop for stop in lines[name] if stop.run is None or stop.run.has_weights)
    requests = _requests(lines[name], line, prompt)
    labels = [stop.label for stop in line]
    live(
        "walk",
        lambda: ask_in_turn(engine, _ordered(requests, _place(labels)), LOOKED_AT),
        lambda answers: _draw_stage(engine, line, requests, lines[name], answers),
        # distinct for every combination: the page's timer depends on both
        left=lambda answers: any_pending(answers) + 2 * (PLAYING in st.session_state),
        every=POLL,
    )


def _requests(whole: Sequence[Stop], line: Sequence[Stop], prompt: str) -> list[ReadRequest]:
    """One a stop; the dense model is that of any run."""
    some = next(stop.run.key for stop in whole if stop.run is not None)
    return [
        ReadRequest(stop.run.key, prompt, tokens=TOKENS, losses=True)
        if stop.run
        else ReadRequest(some, prompt, "dense", TOKENS)
        for stop in line
    ]


def _ordered(requests: Sequence[ReadRequest], at: int) -> list[ReadRequest]:
    """The text at the slider first, then the dense one that it is held against, then the nearest."""
    return [
        requests[place]
        for place in sorted(
            range(len(requests)), key=lambda place: (place != at, place != 0, abs(place - at))
        )
    ]


def _place(labels: Sequence[str]) -> int:
    """Where the slider will be: where it was left, or where the address asks for it."""
    asked = st.session_state.get("at", st.query_params.get("at"))
    return labels.index(asked) if asked in labels else 0


def _draw_stage(
    engine: BackgroundEngine,
    line: Sequence[Stop],
    requests: Sequence[ReadRequest],
    whole: Sequence[Stop],
    answers: Answers,
) -> None:
    """Draw the slider, the text at its position, and that position on the perplexity curve."""
    at = _slide([stop.label for stop in line], [not answers[request].pending for request in requests])
    # again, because the slider may have moved
    answers = ask_in_turn(engine, _ordered(requests, at), LOOKED_AT)
    views = [answers[request] for request in requests]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _draw_text(engine, line[at], views, at)
    with right, st.container(border=True):
        sparsities, perplexities = [stop.sparsity for stop in whole], [stop.perplexity for stop in whole]
        draw_chart(
            sparsity_line(
                sparsities, perplexities, sparsities.index(line[at].sparsity), _agreeing(line, whole, views)
            ),
            "walk.line",
        )


def _slide(labels: Sequence[str], known: Sequence[bool]) -> int:
    """Where the slider is, after it was moved on if it plays and the next text is there."""
    if st.session_state.get("at", labels[0]) not in labels:
        st.session_state["at"] = labels[0]
    now = time.monotonic()
    if PLAYING in st.session_state and now - st.session_state[PLAYING] >= STEP:
        following = labels.index(st.session_state.get("at", labels[0])) + 1
        if following == len(labels):
            _pause()
        elif known[following]:
            st.session_state["at"], st.session_state[PLAYING] = labels[following], now
    left, right = st.columns([1, 9], vertical_alignment="bottom", gap="medium")
    with left:
        if PLAYING in st.session_state:
            st.button("Pause", key="walk.pause", icon=":material/pause:", width="stretch", on_click=_pause)
        else:
            st.button(
                "Play",
                key="walk.play",
                icon=":material/play_arrow:",
                width="stretch",
                type="primary",
                on_click=_play,
                args=(labels,),
            )
    return labels.index(
        right.select_slider("Sparsity", labels, labels[0], key="at", bind="query-params") or labels[0]
    )


def _play(labels: Sequence[str]) -> None:
    """Begin here, or at the beginning where this is the end."""
    if st.session_state.get("at") == labels[-1]:
        st.session_state["at"] = labels[0]
    st.session_state[PLAYING] = time.monotonic()


def _pause() -> None:
    st.session_state.pop(PLAYING, None)


def _draw_text(engine: BackgroundEngine, stop: Stop, views: Sequence[Answer[Reading]], at: int) -> None:
    dense = views[0].value
    with st.container(border=True):
        st.markdown(f"**{stop.title}** · perplexity {numbers.perplexity(stop.perplexity)}")
        reading = reading_or_placeholder(engine, views[at])
        if reading is not None:
            coloured = at > 0 and bool(st.session_state.get("colours"))
            st.html(
                token_text(
                    reading,
                    parted=first_difference(dense, reading) if dense and at else None,
                    numbers=False,
                    coloured=coloured,
                    large=True,
                )
            )
            st.caption("This is the dense model's own text." if at == 0 else agreement(reading, dense))
            if coloured:
                st.html(legend())
    st.toggle("Colour by the loss that pruning added", key="colours", bind="query-params", help=COLOURS_HELP)
    if at and dense is not None:
        st.caption("The dense model's text, to compare")
        st.html(token_text(dense, coloured=False))
    known = sum(view.value is not None for view in views)
    st.caption(
        f"{known} of {len(views)} texts are written; always the likeliest token."
        if known < len(views)
        else "Always the likeliest token."
    )


def _agreeing(
    line: Sequence[Stop], whole: Sequence[Stop], views: Sequence[Answer[Reading]]
) -> list[int | None]:
    """For each stop how many tokens are the dense model's before the texts part."""
    dense = views[0].value
    pairs = zip(line, views, strict=True)
    found = {
        stop.sparsity: _same(dense, view.value)
        for stop, view in pairs
        if dense is not None and view.value is not None
    }
    return [found.get(stop.sparsity) for stop in whole]


def _same(dense: Reading, reading: Reading) -> int:
    place = first_difference(dense, reading)
    return len(reading.tokens) - reading.given if place is None else place - reading.given


COLOURS_HELP = "Blue: words that only the pruned model finds likely; orange: words that it would rather not have written than the dense one."
