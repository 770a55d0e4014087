"""From 0 to 90 %: a slider through the runs of one pruner, and the text that each of them writes.

The visible texts are written first, then the others, nearest first, so that they are ready when the slider
gets there.
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
from engine.store.summary import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.generate.lines import LEAST, Stop, sparsity_lines
from pages.widgets.generate.run_choice import (
    POLL,
    Answers,
    any_pending,
    ask_in_turn,
    reading_or_placeholder,
    with_weights,
)
from pages.widgets.generate.side_by_side import agreement
from pages.widgets.generate.text import TOKENS, prompt_input
from pages.widgets.literal import literal
from pages.widgets.live import live

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

STEP = 1.6
"""Seconds for which each text is shown while the slider plays."""
VISIBLE = 2
"""Texts that are visible: the one at the slider, and the dense one for comparison."""
PLAYING = "walk.playing"
"""Session state: when the current text appeared, on the monotonic clock; absent unless playing."""


def draw_sparsity_walk(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the pruner, the prompt, the slider and the text at its position."""
    lines = sparsity_lines(runs)
    if not lines:
        st.info(
            f"The slider needs {LEAST} runs of one pruner. Start a sweep on Compare.",
            icon=":material/directions_walk:",
        )
        return
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    name = left.selectbox("Pruner", list(lines), key="walk", bind="query-params") or next(iter(lines))
    with right:
        prompt = prompt_input()
    # only for the offer to compute: the line below has the dense model too
    with_weights(engine, [stop.run for stop in lines[name] if stop.run is not None])
    if not prompt.strip():
        st.caption("Type a prompt; the models continue it.")
        return
    line = writing_stops(lines[name])  # the chart shows the whole line
    requests = walk_requests(lines[name], line, prompt)
    labels = [stop.label for stop in line]
    live(
        "walk",
        lambda: ask_in_turn(engine, _ordered(requests, _slider_index(labels)), VISIBLE),
        lambda answers: _draw_stage(engine, line, requests, lines[name], answers),
        # distinct for every combination: the page's timer depends on both
        left=lambda answers: any_pending(answers) + 2 * (PLAYING in st.session_state),
        every=POLL,
    )


def writing_stops(whole: Sequence[Stop]) -> tuple[Stop, ...]:
    """Return the stops that can write: those with weights."""
    return tuple(stop for stop in whole if stop.run is None or stop.run.has_weights)


def walk_requests(whole: Sequence[Stop], line: Sequence[Stop], prompt: str) -> list[ReadRequest]:
    """Return one request per stop of `line`. The dense model is that of every run, so any key will do."""
    any_key = next(stop.run.key for stop in whole if stop.run is not None)
    return [
        ReadRequest(stop.run.key, prompt, tokens=TOKENS, losses=True)
        if stop.run
        else ReadRequest(any_key, prompt, "dense", TOKENS)
        for stop in line
    ]


def _ordered(requests: Sequence[ReadRequest], at: int) -> list[ReadRequest]:
    """Return the request at the slider first, then the dense one, then the others, nearest first."""
    return [
        requests[place]
        for place in sorted(
            range(len(requests)), key=lambda place: (place != at, place != 0, abs(place - at))
        )
    ]


def _slider_index(labels: Sequence[str]) -> int:
    """Return the index at which the slider will be: where it was, or where the address puts it."""
    # the slider itself is drawn later, in the fragment
    label = st.session_state.get("at", st.query_params.get("at"))
    return labels.index(label) if label in labels else 0


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
    answers = ask_in_turn(engine, _ordered(requests, at), VISIBLE)
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
    """Draw the slider, moved on if it plays and the next text is ready, and return its index."""
    # Another pruner has other stops, and Streamlit rejects a value that is not one of them.
    if st.session_state.get("at", labels[0]) not in labels:
        st.session_state["at"] = labels[0]
    now = time.monotonic()
    if PLAYING in st.session_state and now - st.session_state[PLAYING] >= STEP:
        following = labels.index(st.session_state.get("at", labels[0])) + 1
        if following == len(labels):
            _pause()
        elif known[following]:  # else the slider waits here: the next turn looks again
            # allowed: the slider is drawn below
            st.session_state["at"], st.session_state[PLAYING] = labels[following], now
    left, right = st.columns([2, 9], vertical_alignment="bottom", gap="medium")
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
    """Start playing, from the beginning if the slider is at the end."""
    if st.session_state.get("at") == labels[-1]:
        st.session_state["at"] = labels[0]
    st.session_state[PLAYING] = time.monotonic()


def _pause() -> None:
    st.session_state.pop(PLAYING, None)


def _draw_text(engine: BackgroundEngine, stop: Stop, views: Sequence[Answer[Reading]], at: int) -> None:
    dense = views[0].value
    with st.container(border=True):
        st.markdown(f"**{literal(stop.title)}** · perplexity {numbers.perplexity(stop.perplexity)}")
        reading = reading_or_placeholder(engine, views[at])
        if reading is not None:
            coloured = at > 0 and bool(st.session_state.get("colours"))
            st.html(
                token_text(
                    reading,
                    diverges_at=first_difference(dense, reading) if dense and at else None,
                    numbers=False,
                    coloured=coloured,
                    large=True,
                )
            )
            st.caption("The dense model's text." if at == 0 else agreement(reading, dense))
            if coloured:
                st.html(legend())
    st.toggle("Colour by the loss that pruning added", key="colours", bind="query-params", help=COLOURS_HELP)
    if at and dense is not None:
        st.caption("The dense model's text, for comparison")
        st.html(token_text(dense, coloured=False))
    known = sum(view.value is not None for view in views)
    st.caption(
        f"{known} of {len(views)} texts are written, always with the most likely token."
        if known < len(views)
        else "Always the most likely token."
    )


def _agreeing(
    line: Sequence[Stop], whole: Sequence[Stop], views: Sequence[Answer[Reading]]
) -> list[int | None]:
    """Return for each stop how many of its tokens equal the dense model's before the texts diverge."""
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


COLOURS_HELP = (
    "Blue: tokens that the pruned model finds more likely than the dense one; orange: tokens that it finds "
    "less likely."
)
