"""One prompt, continued by the dense model and by one or more pruned ones; the first difference of each from
the dense text is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.charts.generate.token_loss import summary
from engine.charts.generate.token_text import legend, token_text
from engine.evaluation.text_types import Reading, first_difference
from engine.events import Which
from engine.jobs.requests import ReadRequest
from engine.store.summary import RunSummary
from pages.widgets.generate.run_choice import Answers, draw_answers, reading_or_placeholder
from pages.widgets.generate.text import Continuation, continuation_inputs
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

OWN, DENSE = "Each model's own", "The dense model's"
PLAIN, COLOURS, NUMBERS = "Plain", "Colours", "Colours and numbers"


def draw_side_by_side(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """Draw the prompt, the controls and the texts."""
    asked = continuation_inputs()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        words = st.segmented_control(
            "Whose words",
            (OWN, DENSE),
            default=OWN,
            key="words",
            bind="query-params",
            required=True,
            help=WORDS_HELP,
        )
        look = st.segmented_control(
            "Loss added",
            (PLAIN, COLOURS, NUMBERS),
            default=PLAIN,
            key="look",
            bind="query-params",
            required=True,
        )
    if not asked.text.strip() or not runs:
        st.caption(
            "Type a prompt and choose a run; both models continue it."
            if runs
            else "Choose a run that has weights."
        )
        return
    reference, *requests = side_requests(runs, asked, "dense" if words == DENSE else "pruned")

    def draw(answers: Answers) -> None:
        grid = st.grid(2, min_column_width=320, border=True)
        with grid.cell():
            st.markdown("**Dense**")
            dense = reading_or_placeholder(engine, answers[reference])
            if dense is not None:
                st.html(token_text(dense, coloured=False))
        for run, request in zip(runs, requests, strict=True):
            with grid.cell():
                _draw_head(run)
                reading = reading_or_placeholder(engine, answers[request])
                if reading is not None:
                    _draw_one(reading, dense, look or PLAIN, own=words != DENSE)
        if look != PLAIN:
            st.html(legend())

    draw_answers("side_by_side", engine, [reference, *requests], draw)


def side_requests(
    runs: Sequence[RunSummary], asked: Continuation, which: Which = "pruned"
) -> list[ReadRequest]:
    """Return the request for the dense text, then one per run."""
    return [
        ReadRequest(runs[0].key, which="dense", **asdict(asked)),  # all are of one model: any key will do
        *(ReadRequest(run.key, which=which, losses=True, **asdict(asked)) for run in runs),
    ]


def _draw_head(run: RunSummary) -> None:
    score = run.record.pruned.perplexity if run.record and run.record.pruned else None
    st.markdown(f"**{literal(run.title)}** · perplexity {numbers.perplexity(score)}")


def _draw_one(reading: Reading, dense: Reading | None, look: str, *, own: bool) -> None:
    """Draw a pruned model's own text, or its losses on the dense model's text."""
    # on the dense model's own text there is no difference to mark
    diverges_at = first_difference(dense, reading) if own and dense is not None else None
    st.html(token_text(reading, diverges_at=diverges_at, numbers=look == NUMBERS, coloured=look != PLAIN))
    caption = agreement(reading, dense) if own else summary(reading)
    st.caption(f"{caption} {summary(reading)}" if own and look != PLAIN else caption)


def agreement(reading: Reading, dense: Reading | None) -> str:
    """Return how long a text equals the dense one."""
    if dense is None:
        return ""
    place = first_difference(dense, reading)
    if place is None:
        return "Identical to the dense text."
    same = place - reading.given  # `given` tokens are the prompt
    return f"Differs from the dense text at ▸, after {same} token{'' if same == 1 else 's'}."


WORDS_HELP = (
    f"**{OWN}**: what each model writes.  \n**{DENSE}**: the dense model's text, with the pruned model's "
    "loss on each of its tokens."
)
