"""The same numbers without this project: a text tokenised by transformers alone, cut by hand, scored by the
model itself.
"""

from math import exp
from pathlib import Path
from typing import Any

import torch


def ids_of(tokenizer: Any, text: str, length: int) -> list[list[int]]:
    """Windows of a whole text, the remainder dropped."""
    ids = tokenizer(text, verbose=False)["input_ids"]
    return [ids[start : start + length] for start in range(0, len(ids) - length + 1, length)]


def perplexity_of(directory: Path, windows: list[list[int]]) -> float:
    """exp of the mean loss a predicted token; windows are of one length, so the mean of their means is the
    mean.
    """
    losses = losses_of(directory, windows)
    return exp(sum(losses) / len(losses))


def losses_of(directory: Path, windows: list[list[int]]) -> list[float]:
    """Each window's mean negative log likelihood, as the model itself gives it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(ids, labels=ids).loss.double().item() for ids in torch.tensor(windows)[:, None]]
