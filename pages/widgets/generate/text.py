"""What is asked: a beginning or a text, and how a model goes on with it; kept in the address."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

PROMPT = "Once upon a time, there was a little girl named Lily."
TEXT = (
    "One day, a little girl named Lily found a red ball in the garden. She threw it up, and it came down on the roof. "
    '"Oh no," said Lily. Her mother got a ladder, and soon the ball was back. Lily was very happy.'
)
MOST = 2_000  # letters
TOKENS = 60
HOW = ("Likeliest", "Sampled")
HOW_HELP = "**Likeliest**: always the likeliest token, so the text is the model's own.  \n**Sampled**: drawn by probability; all models get the same seed."


@dataclass(frozen=True)
class Asked:
    """A beginning and how to go on; the fields are those of a `ReadRequest`."""

    text: str
    tokens: int = TOKENS
    temperature: float = 0.0
    seed: int = 0


def prompt_of(first: str = PROMPT) -> str:
    """A beginning, in a line."""
    return (
        st.text_input(
            "Prompt", first, key="prompt", bind="query-params", max_chars=MOST, placeholder="Type a beginning"
        )
        or ""
    )


def text_of(first: str = TEXT) -> str:
    """A text, in an area."""
    return (
        st.text_area(
            "Text",
            first,
            key="text",
            bind="query-params",
            max_chars=MOST,
            height=110,
            placeholder="Paste a text of your own",
        )
        or ""
    )


def asked_of() -> Asked:
    """A beginning and how to go on with it."""
    prompt = prompt_of()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        how = st.segmented_control(
            "Next word", HOW, default=HOW[0], key="how", bind="query-params", required=True, help=HOW_HELP
        )
        tokens = st.slider("Tokens", 20, 200, TOKENS, 20, key="tokens", bind="query-params", width=200)
        seed = (
            st.number_input("Seed", 0, 2**31, 0, key="seed", bind="query-params", width=130)
            if how == HOW[1]
            else 0
        )
    return Asked(prompt, tokens, 1.0 if how == HOW[1] else 0.0, int(seed))
