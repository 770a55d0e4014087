"""Text from a model: greedy, or sampled with a seed."""

from __future__ import annotations

from typing import Any

import torch

from engine.errors import ModelError, PrunescopeError
from engine.models.language_model import LanguageModel
from engine.models.summary import longest


@torch.no_grad()
def generate(model: LanguageModel, prompt: str, *, tokens: int, temperature: float, seed: int) -> str:
    """The continuation of a prompt, at most `tokens` long; it stops at the end-of-text token. The same arguments give the same text."""
    ids, mask = _encode(model, prompt)
    module: Any = model.module
    room = (longest(module.config) or 10**9) - ids.shape[1]
    if room < 1:
        raise PrunescopeError(f"The prompt has {ids.shape[1]} tokens, which is all this model takes. Shorten it.")
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        output = module.generate(ids, attention_mask=mask, max_new_tokens=min(tokens, room), pad_token_id=_padding(model), use_cache=True, **sampling)
    return str(model.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))


def _encode(model: LanguageModel, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask `[1, tokens]`, begun with the start token where the tokenizer has one (text begins so in training)."""
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ModelError("This model has no tokenizer, so it cannot continue a text.")
    ids = list(tokenizer(prompt)["input_ids"])
    start = tokenizer.bos_token_id
    if start is not None and ids[:1] != [start]:
        ids = [start, *ids]
    encoded = torch.tensor([ids], device=model.device)
    return encoded, torch.ones_like(encoded)


def _padding(model: LanguageModel) -> int:
    ends = model.tokenizer.eos_token_id
    return int(ends) if ends is not None else 0
