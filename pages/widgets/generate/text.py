"""The inputs: a prompt or a text, and how a model continues it; bound to the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

PROMPT = "Once upon a time, there was a little girl named Lily."
TEXT = (
    "One day, a little girl named Lily found a red ball in the garden. She threw it up, and it came down "
    "on the roof. "
    '"Oh no," said Lily. Her mother got a ladder, and soon the ball was back. Lily was very happy.'
)
MOST = 2_000  # characters
TOKENS, MOST_TOKENS = 60, 200
HOW = ("Likeliest", "Sampled")
HOW_HELP = (
    "**Likeliest**: always the most likely token (greedy).  \n**Sampled**: drawn by probability; all "
    "models get the same seed."
)


@dataclass(frozen=True)
class Continuation:
    """A prompt and how to continue it; the fields are those of a `ReadRequest`."""

    text: str
    tokens: int = TOKENS
    temperature: float = 0.0
    seed: int = 0


def prompt_input(first: str = PROMPT) -> str:
    """Draw the one-line prompt and return it."""
    _note_cut("prompt")
    return (
        st.text_input(
            "Prompt", first, key="prompt", bind="query-params", max_chars=MOST, placeholder="Type a prompt"
        )
        or ""
    )


def text_area(first: str = TEXT) -> str:
    """Draw the multi-line text and return it."""
    _note_cut("text")
    return (
        st.text_area(
            "Text",
            first,
            key="text",
            bind="query-params",
            max_chars=MOST,
            height=110,
            placeholder="Paste your own text",
        )
        or ""
    )


def _note_cut(parameter: str) -> None:
    """Say that the text of a link is too long: Streamlit cuts it at `max_chars`, and says nothing."""
    length = len(st.query_params.get(parameter, ""))
    if length > MOST:
        st.warning(
            f"The {parameter} in the link has {length:,} characters, but at most {MOST:,} are accepted: the "
            "end is cut off.",
            icon=":material/content_cut:",
        )


def continuation_in(parameters: Mapping[str, str]) -> Continuation:
    """Return what `continuation_inputs` returns at an address."""
    prompt, sampled = parameters.get("prompt", PROMPT), parameters.get("how") == HOW[1]
    tokens, seed = (parameters.get(name, "") for name in ("tokens", "seed"))
    return Continuation(
        prompt[:MOST],
        min(int(tokens), MOST_TOKENS) if tokens.isdigit() else TOKENS,
        1.0 if sampled else 0.0,
        int(seed) if sampled and seed.isdigit() else 0,
    )


def continuation_inputs() -> Continuation:
    """Draw the prompt and the controls for its continuation, and return their values."""
    prompt = prompt_input()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        how = st.segmented_control(
            "Next word", HOW, default=HOW[0], key="how", bind="query-params", required=True, help=HOW_HELP
        )
        tokens = st.slider(
            "Tokens", 20, MOST_TOKENS, TOKENS, 20, key="tokens", bind="query-params", width=200
        )
        seed = (
            st.number_input("Seed", 0, 2**31, 0, key="seed", bind="query-params", width=130)
            if how == HOW[1]
            else 0
        )
    return Continuation(prompt, tokens, 1.0 if how == HOW[1] else 0.0, int(seed))
