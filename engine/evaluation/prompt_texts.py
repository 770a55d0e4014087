"""One prompt and what two models made of it, as plain values: made by the worker and drawn by the pages, which need no model library for it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PromptTexts(BaseModel):
    """One prompt continued twice; the texts do not repeat the prompt.

    Attributes:
        tokens: how many tokens each continuation has at most.
        temperature: 0 = greedy (always the likeliest token); else the softmax is sharpened or flattened by it.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    dense: str
    pruned: str
    tokens: int
    temperature: float
    seed: int
