"""Text from a model: greedy, or sampled with a seed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from engine.errors import ModelError, NonFiniteError, PrunescopeError
from engine.models.language_model import LanguageModel
from engine.models.summary import context_length


def generate(model: LanguageModel, prompt: str, *, tokens: int, temperature: float, seed: int) -> str:
    """Return the continuation of a prompt, at most `tokens` long; it stops at the end-of-text token.

    The same arguments give the same text.

    Args:
        temperature: 0 for greedy decoding.

    Raises:
        PrunescopeError: the prompt fills the model's context.
    """
    ids = encode(model, prompt)
    # No declared limit counts as an endless context.
    room = (context_length(model.module.config) or 10**9) - len(ids)
    if room < 1:
        raise PrunescopeError(
            f"The prompt has {len(ids)} tokens, which fills this model's context. Shorten it."
        )
    written = write(model, ids, tokens=min(tokens, room), temperature=temperature, seed=seed)
    return str(model.tokenizer.decode(written, skip_special_tokens=True))


def encode(model: LanguageModel, text: str) -> Tensor:
    """Return the ids `[tokens]` of a text, starting with the start token if the tokenizer has one, as texts
    do in training.

    Raises:
        ModelError: the model has no tokenizer.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        why = model.tokenizer_fault or "This model has no tokenizer."
        raise ModelError(f"{why} It can neither read nor continue a text.")
    ids = list(tokenizer(text)["input_ids"])
    start = tokenizer.bos_token_id
    if start is not None and ids[:1] != [start]:  # many tokenizers have already added it
        ids = [start, *ids]
    return torch.tensor(ids, dtype=torch.long, device=model.device)


@torch.no_grad()
def write(model: LanguageModel, ids: Tensor, *, tokens: int, temperature: float, seed: int) -> Tensor:
    """Return the ids `[new tokens]` that follow `ids` `[tokens]`; generation ends at an end-of-text token.

    The model's context must have room for them.

    Raises:
        NonFiniteError: the model's predictions are not finite, so there is no next token.
    """
    module: Any = model.module
    sampling = (
        # `top_k` 0 turns off the cut at the 50 likeliest tokens, transformers' default.
        {"do_sample": True, "temperature": temperature, "top_k": 0}
        if temperature > 0
        else {"do_sample": False}  # with a temperature, transformers would complain
    )
    prompt = ids[None]  # [1, tokens]
    # `generate` can only sample from the global generator, whose state is restored afterwards. Without a list
    # of devices, `fork_rng` saves the state of every GPU.
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        output: Tensor = module.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),  # otherwise transformers guesses it from padding tokens
            max_new_tokens=tokens,
            pad_token_id=_padding(model),
            use_cache=True,
            logits_processor=LogitsProcessorList([_RequireFinite()]),
            **sampling,
        )
    return output[0, len(ids) :]  # [1, prompt + new tokens] -> [new tokens]


class _RequireFinite(LogitsProcessor):
    """Changes nothing. Greedy decoding would choose a token among NaN as if they were numbers."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if scores.isnan().any() or scores.isposinf().any():  # minus infinity rules a token out
            raise NonFiniteError("The model's predictions for this text are not finite.")
        return scores


def _padding(model: LanguageModel) -> int:
    # A single sequence is never padded, but `generate` warns if it must choose the token itself.
    ends = model.tokenizer.eos_token_id
    return int(ends) if ends is not None else 0
