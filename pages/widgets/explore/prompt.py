"""The same prompt continued by the dense and by the pruned model, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.jobs.requests import TextRequest
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.evaluation.text_types import PromptTexts
    from engine.jobs.service import BackgroundEngine

PROMPT = "Once upon a time, there was a little girl named Lily."
TOKENS = 80
POLL = 0.4


def ask_ahead(engine: BackgroundEngine, key: str) -> None:
    """Have the texts written that `draw_prompt` shows at first, while the page is still being drawn anew
    around a run that has just ended.
    """
    engine.text(TextRequest(key=key, prompt=PROMPT, tokens=TOKENS))


def draw_prompt(engine: BackgroundEngine, key: str) -> None:
    """The prompt, how to continue it, and both continuations."""
    st.subheader("The same prompt, before and after", anchor=False)
    prompt = st.text_input(
        "Prompt",
        PROMPT,
        key="prompt",
        max_chars=2_000,
        label_visibility="collapsed",
        placeholder="Type a beginning",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        how = st.segmented_control(
            "Next word",
            ["Likeliest", "Sampled"],
            default="Likeliest",
            key="how",
            required=True,
            help=HOW_HELP,
        )
        tokens = st.slider("Tokens", 20, 200, TOKENS, step=20, key="tokens", width=200)
        seed = st.number_input("Seed", 0, 2**31, 0, key="text_seed", width=130) if how == "Sampled" else 0
    if not prompt.strip():
        st.caption("Type a beginning; both models continue it.")
        return
    request = TextRequest(
        key=key, prompt=prompt, tokens=tokens, temperature=0.0 if how == "Likeliest" else 1.0, seed=seed
    )
    pending = engine.text(request).pending
    st.fragment(_draw_texts, run_every=POLL if pending else None)(engine, request, pending)


def _draw_texts(engine: BackgroundEngine, request: TextRequest, was_pending: bool) -> None:
    answer = engine.text(request)
    if answer.failed:
        st.error(answer.message)
    else:
        _draw_pair(request, answer.value)
    if was_pending and not answer.pending:
        redraw_page("prompt")


def _draw_pair(request: TextRequest, answer: PromptTexts | None) -> None:
    grid = st.grid(2, min_column_width=300, border=True)
    for title, model in (("Dense", "dense"), ("Pruned", "pruned")):
        with grid.cell():
            st.markdown(f"**{title}**")
            if answer is None:
                st.skeleton(height=110)
            else:
                st.text(request.prompt + getattr(answer, model))
    st.caption(_comparison(answer) if answer else "Both models are writing.")


def _comparison(texts: PromptTexts) -> str:
    """How long the two agree."""
    if texts.dense == texts.pruned:
        return "Both models say the same."
    dense, pruned = texts.dense.split(), texts.pruned.split()
    same = next(
        (at for at, (one, other) in enumerate(zip(dense, pruned, strict=False)) if one != other),
        min(len(dense), len(pruned)),
    )
    how = (
        "always the likeliest token"
        if texts.temperature == 0
        else f"sampled with seed {texts.seed}, temperature {texts.temperature:g}"
    )
    return f"They agree for {same} word{'' if same == 1 else 's'}, then part; {how}."


HOW_HELP = "**Likeliest**: always the likeliest token, so the text is the model's own.  \n**Sampled**: drawn by probability; both models get the same seed."
