"""Perplexity from the hidden states after the last block: the model's own tail (final norm and head), then
the mean loss over all predicted tokens.

Every token of a window except the first is predicted, from the tokens before it in the same window.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, inf, isfinite, log

from torch import Tensor
from torch.nn.functional import cross_entropy

from engine.errors import NonFiniteError
from engine.events import Score, Which
from engine.hardware.transfers import numbers
from engine.models.language_model import LanguageModel, Stream

LARGEST = 700.0  # nats; exp overflows float64 above 709
LOGITS_AT_ONCE, LOGITS_AT_ONCE_ON_GPU = 8_000_000, 32_000_000
"""Most logits in memory at a time (32 MB in float32; 128 MB on a GPU, which a small product leaves idle)."""


def perplexity(model: LanguageModel, stream: Stream, size: int | None = None, *, which: Which) -> Score:
    """Return the score of a stream that has passed all blocks; the logits are float32, their sum float64.

    Args:
        size: bytes of text that the predicted tokens cover, if known.
        which: what error messages call the model.

    Raises:
        NonFiniteError: the loss is not finite.
    """
    sums, tokens = [], 0
    for hidden, ids in zip(stream.on_device(), stream.ids, strict=True):
        for part, inputs, targets in chunks(model, hidden, ids):
            losses = cross_entropy(next_logits(model, part, inputs), targets.flatten(), reduction="none")
            sums.append(losses.double().sum())  # a float32 sum over a whole corpus would lose digits
            tokens += losses.numel()
    total = sum(numbers(sums))
    if not isfinite(total):
        raise NonFiniteError(f"The {which} model's predictions after its last block are not finite.")
    return score(total / tokens, tokens, size)


def next_logits(model: LanguageModel, hidden: Tensor, ids: Tensor) -> Tensor:
    """Return next-token logits `[windows * tokens, vocabulary]` in float32.

    Callers should not keep the result in a variable across chunks: two chunks' logits would be in memory at
    once.
    """
    return model.logits(hidden, ids).float().flatten(0, 1)


def score(nll: float, tokens: int, size: int | None = None) -> Score:
    """Return the score of a mean negative log likelihood in nats: the perplexity, infinite on overflow, and
    the bits per byte of `size` bytes of text.
    """
    # Nats / ln 2 are bits. Bytes, unlike tokens, are the same for every tokenizer.
    bits = nll * tokens / log(2) / size if size else None
    return Score(
        perplexity=nll * inf if nll >= LARGEST else exp(nll), nll=nll, tokens=tokens, bits_per_byte=bits
    )


def chunks(model: LanguageModel, hidden: Tensor, ids: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield hidden states, their ids and the ids to predict, for several windows or a part of one at a time,
    as many as `LOGITS_AT_ONCE` allows. The model's tail treats every token separately, so windows may be
    split.

    Args:
        hidden: `[windows, tokens, width]`, after the last block.
        ids: `[windows, tokens]`.
    """
    most = LOGITS_AT_ONCE_ON_GPU if ids.device.type == "cuda" else LOGITS_AT_ONCE
    tokens = max(1, most // model.vocabulary)  # predictions in memory at a time
    # Whole windows are grouped; one that alone has too many predictions is split along its tokens.
    windows = max(1, tokens // max(1, ids.shape[1] - 1))
    # The hidden state of token t predicts token t + 1.
    for part, inputs, targets in _split_alike(windows, 0, hidden[:, :-1], ids[:, :-1], ids[:, 1:]):
        yield from _split_alike(tokens, 1, part, inputs, targets)


def _split_alike(size: int, dim: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(size, dim) for tensor in tensors), strict=True)
