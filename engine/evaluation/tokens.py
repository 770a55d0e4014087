"""A text token by token: what two models lose on each, what both expected in its place, and how far their
expectations are apart.

Losses are `-ln p` of the token that is there, in nats; the mean over all but the first token is the `nll`
whose `exp` is the perplexity of this text. The divergence is `KL(dense || pruned)` over the whole vocabulary:
how much is lost by expecting what the pruned model expects. All in float64.

How tokens are shown: each one's part of a text, and what a token is called where it stands alone.

The parts of a text's tokens, one after the other, are the text: a character that is spread over several
tokens belongs to the last of them. A token's name is its text as it stands behind another word, so that a
blank at its beginning is seen; one that is no text is called by its bytes or by the vocabulary's own word for
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from engine.corpora.tokenise import spelt_bytes
from engine.errors import PrunescopeError
from engine.evaluation.perplexity import few_at_a_time, next_logits
from engine.evaluation.text_types import GUESSES, Guess, Token
from engine.models.language_model import LanguageModel

UNKNOWN = "\ufffd"
ANCHOR = "a"
"""A word to stand before a token: at the beginning of a text some tokenizers leave a blank away."""


class Spelling:
    """What the tokens of one tokenizer are called.

    Args:
        tokenizer: one of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._anchor = list(tokenizer(ANCHOR, add_special_tokens=False)["input_ids"])
        self._names: dict[int, str] = {}

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each token's part of the text; empty for a special one, and inside a character that is not whole
        yet.
        """
        found, before = [], ""
        for end in range(1, len(ids) + 1):
            text = self.text(ids[:end])
            whole = end == len(ids) or not text.endswith(UNKNOWN)
            found.append(text[len(before) :] if whole else "")
            before = text if whole else before
        return found

    def text(self, ids: Sequence[int]) -> str:
        """The text that these tokens are, without the special ones."""
        return str(
            self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False, skip_special_tokens=True)
        )

    def name(self, number: int) -> str:
        """What a token is called alone: ` cat`, `⟨F0 9F⟩`, `<|endoftext|>`."""
        if number not in self._names:
            self._names[number] = self._name(number)
        return self._names[number]

    def _name(self, number: int) -> str:
        raw = str(
            self._tokenizer.convert_ids_to_tokens(number) or f"⟨token {number}⟩"
        )  # some vocabularies are larger than their tokenizer
        if number in self._special:
            return raw
        text = self.text([*self._anchor, number])[len(self.text(self._anchor)) :]
        if text and UNKNOWN not in text:
            return text
        spelt = spelt_bytes(raw)
        return f"⟨{spelt.hex(' ').upper()}⟩" if spelt else raw


@torch.no_grad()
def behind_blocks(model: LanguageModel, ids: Tensor) -> Tensor:
    """Hidden states `[1, tokens, width]` of a text `[tokens]` behind the last block of the model as it is
    now.
    """
    stream = model.record(ids[None], 1)
    for block in model.blocks:
        stream.advance(block)
    return stream.hidden[0]


@torch.no_grad()
def predictions(
    model: LanguageModel, ids: Tensor, dense: Tensor, pruned: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits `[some tokens, vocabulary]` of both models for the tokens of a text from the second on, a
    stretch at a time.

    Args:
        model: for its tail, which pruning leaves as it is.
        ids: `[tokens]`.
        dense, pruned: hidden states of the text behind the last block, `[1, tokens, width]`.
    """
    both = (few_at_a_time(model, hidden, ids[None]) for hidden in (dense, pruned))
    for (one, inputs, _), (other, *_) in zip(*both, strict=True):
        yield next_logits(model, one, inputs), next_logits(model, other, inputs)


def compare(spelling: Spelling, ids: Tensor, logits: Iterable[tuple[Tensor, Tensor]]) -> tuple[Token, ...]:
    """The tokens of a text under two models.

    Args:
        ids: `[tokens]`.
        logits: of the dense and the pruned model, `[some tokens, vocabulary]` each, for the tokens from the
            second on.

    Raises:
        PrunescopeError: a model's predictions are not numbers.
    """
    tokens = list(plain(spelling, ids)[:1])
    texts = spelling.pieces(ids.tolist())
    for dense, pruned in logits:
        targets = ids[len(tokens) : len(tokens) + len(dense)]
        for number, row in zip(targets.tolist(), _rows(spelling, targets, dense, pruned), strict=True):
            tokens.append(Token(number, texts[len(tokens)], spelling.name(number), *row))
    return tuple(tokens)


def plain(spelling: Spelling, ids: Tensor) -> tuple[Token, ...]:
    """The tokens of a text that nothing was asked about."""
    numbers = ids.tolist()
    return tuple(
        Token(number, text, spelling.name(number))
        for number, text in zip(numbers, spelling.pieces(numbers), strict=True)
    )


def _rows(
    spelling: Spelling, targets: Tensor, dense: Tensor, pruned: Tensor
) -> Iterator[tuple[float, float, float, tuple[Guess, ...]]]:
    """Both losses, the divergence and the guesses for each target, from logits `[tokens, vocabulary]`."""
    first, second = (log_softmax(one.double(), dim=-1) for one in (dense, pruned))
    losses = [(-logs.gather(1, targets[:, None])[:, 0]).tolist() for logs in (first, second)]
    if not torch.tensor(losses).isfinite().all():
        raise PrunescopeError(
            "A model's predictions for this text are not numbers, so its tokens cannot be compared. Prune "
            "less, or in float32."
        )
    # what the dense model rules out (p = 0) counts nothing, and rounding must not make a distance negative
    apart = torch.where(first.isneginf(), 0.0, first.exp() * (first - second)).sum(1).clamp(min=0).tolist()
    return zip(*losses, apart, _guesses(spelling, targets, first, second), strict=True)


def _guesses(spelling: Spelling, targets: Tensor, first: Tensor, second: Tensor) -> list[tuple[Guess, ...]]:
    """For each target the likeliest tokens of either model, and itself, from log probabilities `[tokens,
    vocabulary]`.
    """
    most = min(GUESSES, first.shape[1])
    numbers = torch.cat(
        [first.topk(most).indices, second.topk(most).indices, targets[:, None]], 1
    )  # [tokens, 2 * most + 1]
    shares = [logs.gather(1, numbers).exp().tolist() for logs in (first, second)]
    found = []
    for row, dense, pruned in zip(numbers.tolist(), *shares, strict=True):
        guesses = {
            number: Guess(number, spelling.name(number), p, q)
            for number, p, q in zip(row, dense, pruned, strict=True)
        }
        found.append(tuple(sorted(guesses.values(), key=lambda guess: -guess.dense)))
    return found
