"""A text token by token: the loss that pruning added on each, what both models predicted there, and the
tokens with the largest increase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.generate.predictions import prediction_bars
from engine.charts.generate.token_loss import added_losses, worst_tokens
from engine.charts.generate.token_text import legend, token_text
from engine.evaluation.text_types import Reading
from engine.events import Which
from engine.jobs.requests import ReadRequest
from engine.store.summary import RunSummary
from pages.widgets.chart import draw_chart
from pages.widgets.generate.run_choice import Answers, draw_answers, reading_or_placeholder
from pages.widgets.generate.text import continuation_inputs, text_area
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

WRITERS: dict[str, Which] = {"The dense model": "dense", "The pruned model": "pruned"}
NO_RUN = "Choose a run that has weights."


def draw_tokens(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw a prompt and its continuation by one of the models, token by token."""
    asked = continuation_inputs()
    if not asked.text.strip() or not runs:
        st.caption("Type a prompt; one model continues it, and both predict each token." if runs else NO_RUN)
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        writer = st.segmented_control(
            "Written by",
            list(WRITERS),
            default="The dense model",
            key="writer",
            bind="query-params",
            required=True,
            help=WRITER_HELP,
        )
        run = _reader(runs)
    _draw(
        engine, ReadRequest(run.key, which=WRITERS[writer or "The dense model"], losses=True, **asdict(asked))
    )


def draw_own_text(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the user's text, token by token."""
    text = text_area()
    if not text.strip() or not runs:
        st.caption("Type or paste a text to see the losses of its tokens." if runs else NO_RUN)
        return
    _draw(engine, ReadRequest(_reader(runs).key, text, losses=True))


def _reader(runs: Sequence[RunSummary]) -> RunSummary:
    """Let the user choose one of the runs, if there are several."""
    if len(runs) == 1:
        return runs[0]
    titles = {run.title: run for run in runs}
    title = st.segmented_control(
        "Pruned model",
        list(titles),
        default=runs[0].title,
        format_func=literal,
        key="reader",
        bind="query-params",
        required=True,
    )
    return titles.get(title or "", runs[0])


def _draw(engine: BackgroundEngine, request: ReadRequest) -> None:
    def draw(answers: Answers) -> None:
        reading = reading_or_placeholder(engine, answers[request], height=220)
        if reading is not None:
            _draw_reading(reading)

    draw_answers("tokens", engine, [request], draw)


def _draw_reading(reading: Reading) -> None:
    dense, pruned = (numbers.perplexity(reading.perplexity(which)) for which in ("dense", "pruned"))
    st.markdown(
        f"Perplexity of this text: **{dense}** dense, **{pruned}** pruned, over "
        f"{len(reading.tokens) - reading.first} predicted tokens."
    )
    with st.container(border=True):
        chosen = _choose(reading)
        st.html(token_text(reading, chosen=chosen))
        st.html(legend())
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        draw_chart(prediction_bars(reading.tokens[chosen]), "guesses")
    with grid.cell():
        draw_chart(added_losses(reading, chosen), "added")
        st.markdown("**Tokens with the largest increase in loss**")
        st.dataframe(
            worst_tokens(reading),
            hide_index=True,
            height=220,
            column_config={"loss added": st.column_config.NumberColumn(format="%+.2f")},
        )


def _choose(reading: Reading) -> int:
    """Draw the token slider and return its index; by default the token with the largest increase in loss."""
    first, last = reading.first, len(reading.tokens) - 1  # the tokens before `first` have no prediction
    text = tuple(token.id for token in reading.tokens)
    known = st.session_state.get("token")
    # A first text keeps the token that the address names; another text starts at its own worst token.
    if st.session_state.get("token.of", text) != text or (known is not None and not first <= known <= last):
        st.session_state["token"] = reading.worst
    st.session_state["token.of"] = text
    if first == last:  # a slider needs two different ends
        return last
    place = st.slider(
        "Token",
        first,
        last,
        reading.worst,
        key="token",
        bind="query-params",
        help="Move it with the arrow keys.",
    )
    return int(place)


WRITER_HELP = (
    "**The dense model**: its text, with the pruned model's loss on each token.  \n**The pruned model**: "
    "its own text; blue marks tokens that only the pruned model finds likely."
)
