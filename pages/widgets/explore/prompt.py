"""The same prompt continued by the dense and the pruned model, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.jobs.requests import TextRequest
from pages.widgets.live import live_answer

if TYPE_CHECKING:
    from engine.evaluation.text_types import PromptTexts
    from engine.jobs.service import BackgroundEngine

PROMPT = "Once upon a time, there was a little girl named Lily."
TOKENS = 80


def ask_ahead(engine: BackgroundEngine, key: str) -> None:
    """Ask for the texts that `draw_prompt` shows first, for a run that has just ended."""
    engine.text(TextRequest(key=key, prompt=PROMPT, tokens=TOKENS))


def draw_prompt(engine: BackgroundEngine, key: str) -> None:
    """Draw the prompt, its settings, and both continuations."""
    st.subheader("The same prompt, before and after", anchor=False)
    prompt = st.text_input(
        "Prompt",
        PROMPT,
        key="prompt",
        max_chars=2_000,
        label_visibility="collapsed",
        placeholder="Type a prompt",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        decoding = st.segmented_control(
            "Next token",
            ["Likeliest", "Sampled"],
            default="Likeliest",
            key="how",
            required=True,
            help=DECODING_HELP,
        )
        tokens = st.slider("Tokens", 20, 200, TOKENS, step=20, key="tokens", width=200)
        sampled = decoding == "Sampled"
        seed = st.number_input("Seed", 0, 2**31, 0, key="text_seed", width=130) if sampled else 0
    if not prompt.strip():
        st.caption("Type a prompt; both models continue it.")
        return
    request = TextRequest(
        key=key, prompt=prompt, tokens=tokens, temperature=1.0 if sampled else 0.0, seed=seed
    )
    live_answer(
        "prompt",
        lambda: engine.text(request),
        lambda texts: _draw_pair(request, texts),
        waiting=lambda: _draw_pair(request, None),
    )


def _draw_pair(request: TextRequest, texts: PromptTexts | None) -> None:
    grid = st.grid(2, min_column_width=300, border=True)
    for title, model in (("Dense", "dense"), ("Pruned", "pruned")):
        with grid.cell():
            st.markdown(f"**{title}**")
            if texts is None:
                st.skeleton(height=110)
            else:
                st.text(request.prompt + getattr(texts, model))
    st.caption(_comparison(texts) if texts else "Both models are generating.")


def _comparison(texts: PromptTexts) -> str:
    """Say after how many words the two continuations differ."""
    if texts.dense == texts.pruned:
        return "Both texts are identical."
    dense, pruned = texts.dense.split(), texts.pruned.split()
    pairs = enumerate(zip(dense, pruned, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), min(len(dense), len(pruned)))
    how = (
        "always the likeliest token"
        if texts.temperature == 0
        else f"sampled with seed {texts.seed}, temperature {texts.temperature:g}"
    )
    return f"Identical for {same} word{'' if same == 1 else 's'}; {how}."


DECODING_HELP = (
    "**Likeliest**: always the most likely token (greedy decoding).  \n"
    "**Sampled**: drawn by probability; both models use the same seed."
)
