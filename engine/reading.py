"""What a dense and a pruned model make of one text: how each goes on from it, and what each of its tokens cost them.

Both models are one: the dense model is loaded, asked, and pruned in place. On the bundled model a text of a hundred tokens takes about a tenth of a
second to read, and sixty new tokens half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf
from statistics import fmean

import torch

from engine.errors import ModelError, PrunescopeError
from engine.evaluation.generation import generate
from engine.evaluation.tokens import Token, compare, predictions
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.models.summary import longest
from engine.models.threads import threads_for
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe

MOST_TOKENS = 400
"""Tokens of a text that is read: each comes with twenty guesses, and a page shows them all."""


@dataclass(frozen=True)
class Reading:
    """A text as the pruned model reads it, beside the dense one; or how the dense one goes on.

    Attributes:
        tokens: of the text; empty where only a continuation was asked for.
        continuation: what the model writes next; empty where none was asked for.
    """

    tokens: tuple[Token, ...] = ()
    continuation: str = ""

    @property
    def worst(self) -> int:
        """The place of the token that lost most, 0 where none was predicted."""
        return max(range(len(self.tokens)), key=lambda place: -inf if (gained := self.tokens[place].gained) is None else gained, default=0)

    @property
    def dense_perplexity(self) -> float | None:
        """Of this text, None for fewer than two tokens."""
        losses = [token.dense for token in self.tokens if token.dense is not None]
        return exp(fmean(losses)) if losses else None

    @property
    def pruned_perplexity(self) -> float | None:
        """Of this text, None for fewer than two tokens."""
        losses = [token.pruned for token in self.tokens if token.pruned is not None]
        return exp(min(fmean(losses), 700.0)) if losses else None


def continue_dense(recipe: Recipe, prompt: str, *, tokens: int, temperature: float, seed: int) -> Reading:
    """How the recipe's dense model goes on from a prompt.

    Raises:
        ModelError: the model cannot be loaded, or has no tokenizer.
    """
    model = dense_model(recipe)
    with threads_for(model, alone=False):
        return Reading(continuation=generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed))


def read(
    recipe: Recipe, kept: Mapping[int, BlockWeights], text: str, *, tokens: int = 0, temperature: float = 0.0, seed: int = 0, losses: bool = True
) -> Reading:
    """What a recipe's pruned model makes of a text.

    Args:
        recipe: a pinned recipe; its model is loaded afresh.
        kept: the pruned weights of every block.
        tokens: so many new tokens at most; 0 for none.
        losses: whether the tokens of the text are compared with what the dense model expects.

    Raises:
        ModelError: the model cannot be loaded, or has no tokenizer.
        PrunescopeError: the text is empty or too long.
    """
    model = dense_model(recipe)
    with threads_for(model, alone=False):
        ids = encoded(model, text) if losses else None
        dense = predictions(model.module, ids) if ids is not None else None
        for block in model.blocks:
            restore(block, kept[block.index])
        found: tuple[Token, ...] = ()
        if ids is not None and dense is not None:
            found = compare(model.tokenizer, ids, dense, predictions(model.module, ids))
        written = generate(model, text, tokens=tokens, temperature=temperature, seed=seed) if tokens else ""
    return Reading(found, written)


def encoded(model: LanguageModel, text: str) -> torch.Tensor:
    """The token ids `[tokens]` of a text, with the start token where the tokenizer has one.

    Raises:
        ModelError: the model has no tokenizer.
        PrunescopeError: the text is empty or too long.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ModelError("This model has no tokenizer, so it cannot read a text.")
    ids = list(tokenizer(text)["input_ids"])
    start = tokenizer.bos_token_id
    if start is not None and ids[:1] != [start]:
        ids = [start, *ids]
    most = min(MOST_TOKENS, longest(model.module.config) or MOST_TOKENS)
    if len(ids) > most:
        raise PrunescopeError(f"The text has {len(ids):,} tokens, and at most {most} are read. Shorten it.")
    if len(ids) < 2:
        raise PrunescopeError("The text has fewer than two tokens, so there is nothing to predict. Type some words.")
    return torch.tensor(ids, device=model.device)


def common_length(one: str, other: str) -> int:
    """How many characters two texts share from the beginning, cut back to the end of a word."""
    same = next((at for at, (first, second) in enumerate(zip(one, other, strict=False)) if first != second), min(len(one), len(other)))
    if same == len(one) == len(other):
        return same
    while same and not (one[same : same + 1].isspace() or one[same - 1].isspace() or other[same : same + 1].isspace()):
        same -= 1
    return same
