"""A text token by token: what two models lose on each, what both expected in its place, and how far their expectations are apart.

Losses are `-ln p` of the token that is there, in nats; the mean over all but the first token is the `nll` whose `exp` is the perplexity of this text.
The divergence is `KL(dense || pruned)` over the whole vocabulary, in float64: how much is lost by expecting what the pruned model expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

GUESSES = 10
UNKNOWN = "\ufffd"
Guess = tuple[str, float]
"""A token's text and its probability."""


@dataclass(frozen=True)
class Token:
    """A token of a text and what two models made of it; the first has been predicted by nobody.

    Attributes:
        text: its part of the text; empty where a character is made of several tokens and this is not its last.
        dense, pruned: losses, nats.
        divergence: between the two predictions that this token was drawn against, nats.
        dense_guesses, pruned_guesses: the likeliest tokens in its place.
    """

    text: str
    dense: float | None = None
    pruned: float | None = None
    divergence: float | None = None
    dense_guesses: tuple[Guess, ...] = ()
    pruned_guesses: tuple[Guess, ...] = ()

    @property
    def gained(self) -> float | None:
        """Loss that pruning added, nats; negative where the pruned model does better."""
        return None if self.pruned is None or self.dense is None else self.pruned - self.dense


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Each token's part of the text, so that joined they are the decoded text: a character that needs several tokens belongs to the last of them."""
    found, before = [], ""
    for end in range(1, len(ids) + 1):
        text = str(tokenizer.decode(list(ids[:end]), clean_up_tokenization_spaces=False, skip_special_tokens=True))
        whole = end == len(ids) or not text.endswith(UNKNOWN)
        found.append(text[len(before) :] if whole else "")
        before = text if whole else before
    return found


def compare(tokenizer: Any, ids: Tensor, dense: Tensor, pruned: Tensor) -> tuple[Token, ...]:
    """The tokens of a text under two models.

    Args:
        ids: `[tokens]`.
        dense, pruned: logits `[tokens, vocabulary]`, each row the prediction of the next token.
    """
    texts = pieces(tokenizer, ids.tolist())
    first, second = (log_softmax(logits[:-1].double(), dim=-1) for logits in (dense, pruned))
    following = ids[1:, None]
    losses = [(-logs.gather(1, following)[:, 0]).tolist() for logs in (first, second)]
    apart = (first.exp() * (first - second)).nan_to_num(0.0).sum(1).clamp(min=0).tolist()
    guesses = [_guesses(tokenizer, logs) for logs in (first, second)]
    rest = zip(texts[1:], losses[0], losses[1], apart, guesses[0], guesses[1], strict=True)
    return (*(Token(text) for text in texts[:1]), *(Token(*one) for one in rest))


def _guesses(tokenizer: Any, logs: Tensor) -> list[tuple[Guess, ...]]:
    """The likeliest tokens of each row of log probabilities `[tokens, vocabulary]`, the likeliest first."""
    best = logs.topk(min(GUESSES, logs.shape[1]), dim=1)
    names: dict[int, str] = {}
    for number in best.indices.unique().tolist():
        names[number] = str(tokenizer.decode([number], clean_up_tokenization_spaces=False))
    return [
        tuple((names[number], value) for number, value in zip(row, shares, strict=True))
        for row, shares in zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
    ]


@torch.no_grad()
def predictions(module: Any, ids: Tensor) -> Tensor:
    """The model's own logits `[tokens, vocabulary]` of a text `[tokens]`, float32."""
    logits: Tensor = module(input_ids=ids[None], use_cache=False).logits[0].float()
    return logits
