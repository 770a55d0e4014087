"""Perplexity of hidden states that have left the last block: the model's own tail, then the mean over all
predicted tokens.

Every token of a window but the first is predicted, from those before it in the same window.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, inf, log

from torch import Tensor
from torch.nn.functional import cross_entropy

from engine.events import Score
from engine.models.language_model import LanguageModel, Stream

LARGEST = 700.0  # whose exponential still is a number
LOGITS_AT_ONCE = 8_000_000
"""Most logits held at a time (32 MB in float32)."""


def perplexity(model: LanguageModel, stream: Stream, size: int | None = None) -> Score:
    """The score of a stream that has passed all blocks; the sum is float64, the logits float32.

    Args:
        size: bytes of text that the predicted tokens stand for, where that is known.
    """
    total, tokens = 0.0, 0
    for hidden, ids in zip(stream.hidden, stream.ids, strict=True):
        for part, inputs, targets in few_at_a_time(model, hidden, ids):
            losses = cross_entropy(next_logits(model, part, inputs), targets.flatten(), reduction="none")
            total += losses.double().sum().item()
            tokens += losses.numel()
    return score(total / tokens, tokens, size)


def next_logits(model: LanguageModel, hidden: Tensor, ids: Tensor) -> Tensor:
    """Next-token logits `[windows * tokens, vocabulary]`, float32; not held by a name, so that two parts' are
    never there at once.
    """
    return model.logits(hidden, ids).float().flatten(0, 1)


def score(nll: float, tokens: int, size: int | None = None) -> Score:
    """The perplexity of a mean negative log likelihood, infinite where it overflows, and its bits per byte of
    `size` bytes of text.
    """
    bits = nll * tokens / log(2) / size if size else None
    return Score(
        perplexity=nll * inf if nll >= LARGEST else exp(nll), nll=nll, tokens=tokens, bits_per_byte=bits
    )


def few_at_a_time(model: LanguageModel, hidden: Tensor, ids: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Hidden states, their tokens and the tokens to predict, of several windows or of a stretch of one: the
    tail treats each token by itself.

    Args:
        hidden: `[windows, tokens, width]`, behind the last block.
        ids: `[windows, tokens]`.
    """
    tokens = max(1, LOGITS_AT_ONCE // model.vocabulary)
    windows = max(1, tokens // max(1, ids.shape[1] - 1))
    for part, inputs, targets in _together(windows, 0, hidden[:, :-1], ids[:, :-1], ids[:, 1:]):
        yield from _together(tokens, 1, part, inputs, targets)


def _together(size: int, dim: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(size, dim) for tensor in tensors), strict=True)
