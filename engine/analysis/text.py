"""What a dense and a pruned model make of one text: how each goes on from it, and what each of its tokens
cost them.

Both models are one: the dense model's weights and the pruned ones are put into the same module in turn. A
reader keeps the last model for the next question where twice its weights are little of the memory that is
free, so a second question about the bundled model costs no more than its text: half a second for sixty new
tokens, some hundredths for the losses. A model that is too large for that is loaded for every question anew,
twice where the pruned model writes and both read.

One prompt continued by a recipe's dense model and by the same model pruned: greedy, or sampled with a seed
that both share.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from threading import Lock

from torch import Tensor, cat

from engine.errors import PrunescopeError
from engine.evaluation.generation import encode, generate, write
from engine.evaluation.text_types import PromptTexts, Reading, Token, Writing
from engine.evaluation.tokens import Spelling, behind_blocks, compare, plain, predictions
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.models.summary import context_length
from engine.models.threads import threads_for
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe
from engine.run_cache import Workbench


def generate_pair(
    recipe: Recipe,
    kept: Mapping[int, BlockWeights],
    prompt: str,
    *,
    tokens: int = 80,
    temperature: float = 0.0,
    seed: int = 0,
) -> PromptTexts:
    """Continue a prompt with a recipe's dense model, then with the same model pruned.

    Args:
        recipe: a pinned recipe; its model is loaded afresh.
        kept: the pruned weights of every block.

    Raises:
        ModelError: the model cannot be loaded or has no tokenizer.
        PrunescopeError: the prompt leaves no room for a continuation.
    """
    model = dense_model(recipe)
    with threads_for(model, alone=False):  # beside a page and a browser, a small model is quicker on one
        dense = generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed)
        for block in model.blocks:
            restore(block, kept[block.index])
        pruned = generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed)
    return PromptTexts(
        prompt=prompt, dense=dense, pruned=pruned, tokens=tokens, temperature=temperature, seed=seed
    )


MOST_TOKENS = 400
"""Tokens of a text that is read, with what is written behind it: each comes with twenty guesses, and a page
shows them all.
"""


class Reader:
    """Reads texts, one at a time. `keep`: whether the last model stays for the next question."""

    def __init__(self, *, keep: bool = True) -> None:
        self._bench = Workbench(keep=keep)
        self._alone = Lock()
        self._last: tuple[Hashable, Tensor] | None = None

    def read(
        self,
        recipe: Recipe,
        kept: Mapping[int, BlockWeights] | None,
        text: str,
        writing: Writing,
        *,
        losses: bool,
    ) -> Reading:
        """What a recipe's dense and pruned model make of a text.

        Args:
            recipe: a pinned recipe.
            kept: the pruned weights of every block; None where only the dense model is asked.
            losses: whether the tokens are compared; else they are nothing but text.

        Raises:
            ModelError: the model cannot be loaded, or has no tokenizer.
            PrunescopeError: the text is empty or too long, or a model predicts no numbers.
        """
        with self._alone:
            return self._read(recipe, kept, text, writing, losses=losses)

    def _read(
        self,
        recipe: Recipe,
        kept: Mapping[int, BlockWeights] | None,
        text: str,
        writing: Writing,
        *,
        losses: bool,
    ) -> Reading:
        model = self._dense(recipe)
        given = _fitting(model, text, writing)
        with threads_for(model, alone=False):
            if writing.which == "pruned" and writing.tokens:
                model = _pruned(model, kept)
            ids = self._written(model, recipe, given, writing) if writing.tokens else given
            tokens = (
                self._compared(recipe, model, kept, ids) if losses else plain(Spelling(model.tokenizer), ids)
            )
        return Reading(tokens, len(given))

    def _compared(
        self, recipe: Recipe, model: LanguageModel, kept: Mapping[int, BlockWeights] | None, ids: Tensor
    ) -> tuple[Token, ...]:
        model = self._dense(recipe)
        dense = behind_blocks(model, ids)
        pruned = behind_blocks(_pruned(model, kept), ids)
        return compare(Spelling(model.tokenizer), ids, predictions(model, ids, dense, pruned))

    def _dense(self, recipe: Recipe) -> LanguageModel:
        place = (recipe.model, recipe.revision, recipe.dtype, recipe.device)
        return self._bench.model(place, partial(dense_model, recipe))

    def _written(self, model: LanguageModel, recipe: Recipe, given: Tensor, writing: Writing) -> Tensor:
        """The text with what the model, as it is now, writes behind it. The dense model's last is remembered:
        every run is held against it.
        """
        question = (
            recipe.model,
            recipe.revision,
            recipe.dtype,
            recipe.device,
            tuple(given.tolist()),
            writing,
        )
        if writing.which == "dense" and self._last is not None and self._last[0] == question:
            return self._last[1]
        room = _most(model) - len(given)
        new = write(
            model, given, tokens=min(writing.tokens, room), temperature=writing.temperature, seed=writing.seed
        )
        ids = cat([given, new])
        if writing.which == "dense":
            self._last = (question, ids)
        return ids


def _pruned(model: LanguageModel, kept: Mapping[int, BlockWeights] | None) -> LanguageModel:
    """The dense model, pruned in place."""
    assert kept is not None, "the pruned model is only asked with its weights"
    for block in model.blocks:
        restore(block, kept[block.index])
    return model


def _fitting(model: LanguageModel, text: str, writing: Writing) -> Tensor:
    """The ids of a text that leaves room for a token where one is to be written, and else has one to predict."""
    ids, to_write = encode(model, text), 1 if writing.tokens else 0
    most = _most(model) - to_write
    if len(ids) < 2 - to_write:
        raise PrunescopeError(
            "The text has fewer than two tokens, so there is nothing to predict. Type some words."
        )
    if len(ids) > most:
        raise PrunescopeError(
            f"The text has {len(ids):,} tokens, and at most {most} are read here. Shorten it."
        )
    return ids


def _most(model: LanguageModel) -> int:
    return min(MOST_TOKENS, context_length(model.module.config) or MOST_TOKENS)
