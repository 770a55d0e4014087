"""One prompt, continued by the dense model and by one or more pruned ones; where each of them first parts from the dense text is marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.jobs.store import RunSummary
from engine.jobs.views import ReadRequest
from engine.reading import common_length
from pages.widgets.generate.asking import Views, draw_failure, drawn
from pages.widgets.generate.text import PROMPT, prompt_of

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

HOW = ("Likeliest", "Sampled")


def draw_side_by_side(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """The prompt, how to go on, and the texts."""
    prompt = prompt_of(PROMPT)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        how = st.segmented_control("Next word", HOW, default=HOW[0], key="how", bind="query-params", required=True)
        tokens = st.slider("Tokens", 20, 200, 80, 20, key="tokens", bind="query-params", width=200)
        seed = st.number_input("Seed", 0, 2**31, 0, key="seed", bind="query-params", width=130) if how == "Sampled" else 0
    if not prompt.strip() or not runs:
        st.caption("Type a beginning, and choose a run; both models continue it." if not prompt.strip() else "Choose a run whose weights are here.")
        return
    temperature = 1.0 if how == "Sampled" else 0.0
    dense = ReadRequest(runs[0].key, prompt, "dense", tokens, temperature, int(seed))
    pruned = [ReadRequest(run.key, prompt, "pruned", tokens, temperature, int(seed)) for run in runs]
    drawn(engine, [dense, *pruned], lambda views: _draw(views, dense, list(zip(runs, pruned, strict=True)), prompt))


def _draw(views: Views, dense: ReadRequest, pruned: Sequence[tuple[RunSummary, ReadRequest]], prompt: str) -> None:
    grid = st.grid(2, min_column_width=320, border=True)
    reference = views[dense].reading
    with grid.cell():
        st.markdown("**Dense**")
        _draw_one(views, dense, prompt, None)
    for run, request in pruned:
        with grid.cell():
            score = run.record.pruned.perplexity if run.record and run.record.pruned else None
            st.markdown(f"**{run.title}** · perplexity {numbers.perplexity(score)}")
            _draw_one(views, request, prompt, reference.continuation if reference else None)


def _draw_one(views: Views, request: ReadRequest, prompt: str, dense: str | None) -> None:
    view = views[request]
    if view.state == "failed":
        draw_failure(view)
    elif view.reading is None:
        st.skeleton(height=130)
    elif dense is None:
        st.text(prompt + view.reading.continuation)
    else:
        same = common_length(view.reading.continuation, dense)
        own = view.reading.continuation
        st.text(f"{prompt}{own[:same]}{' ▸▸' if same < len(own) else ''}{own[same:]}")
        words = len(own[:same].split())
        st.caption(
            "The same as the dense text." if own == dense else f"Parts from the dense text at ▸▸, after {words} word{'' if words == 1 else 's'}."
        )
