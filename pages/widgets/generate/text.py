"""The text that is asked about, kept in the address."""

from __future__ import annotations

import streamlit as st

PROMPT = "Once upon a time, there was a little girl named Lily."
TEXT = (
    "One day, a little girl named Lily found a red ball in the garden. She threw it up, and it came down on the roof. "
    '"Oh no," said Lily. Her mother got a ladder, and soon the ball was back. Lily was very happy.'
)
MOST = 2_000  # letters


def prompt_of(first: str) -> str:
    """A beginning, in a line."""
    return st.text_input("Prompt", first, key="prompt", bind="query-params", max_chars=MOST, placeholder="Type a beginning") or ""


def text_of(first: str) -> str:
    """A text, in an area."""
    return st.text_area("Text", first, key="text", bind="query-params", max_chars=MOST, height=110, placeholder="Paste a text of your own") or ""
