"""A text token by token: the loss of two models on each, what both predicted in its place, and how far their
predictions diverge.

Losses are `-ln p` of the actual token in nats; their mean over all tokens but the first is the `nll` whose
`exp` is the perplexity of this text. The divergence is `KL(dense || pruned)` over the whole vocabulary.
Everything is computed in float64.

`Spelling` names tokens. The parts of a text's tokens, joined, are the text: a character that is spread over
several tokens belongs to the last of them. A token's name is its text as it appears after another word, so
that a leading space is visible; a token that is not text is named by its bytes or its vocabulary entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from engine.corpora.tokenise import spelt_bytes
from engine.errors import NonFiniteError
from engine.evaluation.perplexity import chunks, next_logits
from engine.evaluation.text_types import GUESSES, Guess, Token
from engine.models.language_model import LanguageModel

UNKNOWN = "\ufffd"  # what invalid or incomplete UTF-8 decodes to
ANCHOR = "a"
"""A word to decode before a token: at the beginning of a text some tokenizers drop a leading space."""


class Spelling:
    """The names of one tokenizer's tokens.

    Args:
        tokenizer: a tokenizer of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._anchor = list(tokenizer(ANCHOR, add_special_tokens=False)["input_ids"])
        self._names: dict[int, str] = {}  # the guesses of a text repeat the same few tokens

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return each token's part of the text; empty for special tokens and for incomplete characters."""
        parts, before = [], ""
        # Prefixes are decoded, because a token can decode differently alone than in its context. This takes
        # quadratic time; callers limit the length.
        for end in range(1, len(ids) + 1):
            text = self.text(ids[:end])
            # An incomplete UTF-8 sequence decodes to U+FFFD: its part waits for the token that completes it.
            whole = end == len(ids) or not text.endswith(UNKNOWN)  # the last part takes what is left
            parts.append(text[len(before) :] if whole else "")
            before = text if whole else before
        return parts

    def text(self, ids: Sequence[int]) -> str:
        """Return the decoded text without special tokens."""
        return str(
            # Clean-up deletes spaces before punctuation: a decoded prefix would not be a prefix of the text.
            self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False, skip_special_tokens=True)
        )

    def name(self, number: int) -> str:
        """Return a token's name: ` cat`, `⟨F0 9F⟩`, `<|endoftext|>`."""
        if number not in self._names:
            self._names[number] = self._name(number)
        return self._names[number]

    def _name(self, number: int) -> str:
        # Some models' vocabularies are larger than their tokenizer's.
        raw = str(self._tokenizer.convert_ids_to_tokens(number) or f"⟨token {number}⟩")
        if number in self._special:  # `text` leaves these out
            return raw
        text = self.text([*self._anchor, number])[len(self.text(self._anchor)) :]
        if text and UNKNOWN not in text:
            return text
        spelt = spelt_bytes(raw)
        return f"⟨{spelt.hex(' ').upper()}⟩" if spelt else raw


@torch.no_grad()
def hidden_after_blocks(model: LanguageModel, ids: Tensor) -> Tensor:
    """Return the hidden states `[1, tokens, width]` of a text `[tokens]` after the last block, for the
    model's current weights.
    """
    stream = model.record(ids[None], 1)  # [1, tokens], a batch of one window
    for block in model.blocks:
        stream.advance(block)
    return stream.hidden[0]


@torch.no_grad()
def predictions(
    model: LanguageModel, ids: Tensor, dense: Tensor, pruned: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield both models' logits `[part of the tokens, vocabulary]` for the second and later tokens of a text.

    Args:
        model: used for its tail, which pruning does not change.
        ids: `[tokens]`.
        dense, pruned: hidden states of the text after the last block, `[1, tokens, width]`.
    """
    # Both are split alike: `chunks` looks only at shapes.
    both = (chunks(model, hidden, ids[None]) for hidden in (dense, pruned))
    for (one, inputs, _), (other, *_) in zip(*both, strict=True):
        yield next_logits(model, one, inputs), next_logits(model, other, inputs)


def compare(spelling: Spelling, ids: Tensor, logits: Iterable[tuple[Tensor, Tensor]]) -> tuple[Token, ...]:
    """Return the tokens of a text with both models' losses and predictions.

    Args:
        ids: `[tokens]`.
        logits: of the dense and the pruned model, `[part of the tokens, vocabulary]` each, for the second and
            later tokens.

    Raises:
        NonFiniteError: a model's predictions are not finite.
    """
    tokens = list(without_losses(spelling, ids)[:1])  # nothing predicts the first token
    texts = spelling.pieces(ids.tolist())
    for dense, pruned in logits:
        targets = ids[len(tokens) : len(tokens) + len(dense)]  # [part of the tokens]
        for number, row in zip(targets.tolist(), _rows(spelling, targets, dense, pruned), strict=True):
            tokens.append(Token(number, texts[len(tokens)], spelling.name(number), *row))
    return tuple(tokens)


def without_losses(spelling: Spelling, ids: Tensor) -> tuple[Token, ...]:
    """Return the tokens of a text that is not compared."""
    numbers = ids.tolist()
    return tuple(
        Token(number, text, spelling.name(number))
        for number, text in zip(numbers, spelling.pieces(numbers), strict=True)
    )


def _rows(
    spelling: Spelling, targets: Tensor, dense: Tensor, pruned: Tensor
) -> Iterator[tuple[float, float, float, tuple[Guess, ...]]]:
    """Yield both losses, the divergence and the guesses per target, from logits `[tokens, vocabulary]`."""
    # Log probabilities, [tokens, vocabulary].
    first, second = (log_softmax(one.double(), dim=-1) for one in (dense, pruned))
    losses = [(-logs.gather(1, targets[:, None])[:, 0]).tolist() for logs in (first, second)]
    for which, values in zip(("dense", "pruned"), losses, strict=True):
        if not all(map(isfinite, values)):
            raise NonFiniteError(f"The {which} model's predictions for this text are not finite.")
    # A token that the dense model rules out (p = 0) adds nothing to the KL divergence, by its limit; as
    # computed, it would be 0 * inf. Rounding must not make the sum negative.
    divergences = (
        torch.where(first.isneginf(), 0.0, first.exp() * (first - second)).sum(1).clamp(min=0).tolist()
    )
    if not all(map(isfinite, divergences)):
        raise NonFiniteError("The divergence of the two models' predictions for this text is not finite.")
    return zip(*losses, divergences, _guesses(spelling, targets, first, second), strict=True)


def _guesses(spelling: Spelling, targets: Tensor, first: Tensor, second: Tensor) -> list[tuple[Guess, ...]]:
    """Return for each target the likeliest tokens of either model and the target itself.

    Args:
        first, second: log probabilities `[tokens, vocabulary]` of the dense and the pruned model.
    """
    most = min(GUESSES, first.shape[1])
    numbers = torch.cat(
        [first.topk(most).indices, second.topk(most).indices, targets[:, None]], 1
    )  # [tokens, 2 * most + 1]
    # Probabilities, [tokens, 2 * most + 1] of each model.
    shares = [logs.gather(1, numbers).exp().tolist() for logs in (first, second)]
    found = []
    for row, dense, pruned in zip(numbers.tolist(), *shares, strict=True):
        guesses = {  # the two models' favourites overlap, and may include the target
            number: Guess(number, spelling.name(number), p, q)
            for number, p, q in zip(row, dense, pruned, strict=True)
        }
        found.append(tuple(sorted(guesses.values(), key=lambda guess: -guess.dense)))
    return found
