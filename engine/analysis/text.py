"""What a dense and a pruned model make of one text: how each continues it, and what each of its tokens costs
them.

Both models are one module, into which the dense and the pruned weights are written in turn. The module comes
from the cache of models (`engine.run_cache`), so a second question about the bundled model costs only its
text: half a second for sixty new tokens, some hundredths for the losses. A model too large for the cache is
loaded for every question, twice if the pruned model writes and both read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from torch import Tensor, cat

from engine.errors import NonFiniteError, PrunescopeError
from engine.evaluation.generation import encode, generate, write
from engine.evaluation.text_types import PromptTexts, Reading, Token, Writing
from engine.evaluation.tokens import Spelling, compare, hidden_after_blocks, predictions, without_losses
from engine.hardware.device import threads_for
from engine.inputs import dense_model, model_identity
from engine.models.language_model import LanguageModel
from engine.models.nonfinite import with_cause
from engine.models.summary import context_length
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe
from engine.run_cache import MODELS, Lease, ModelCache

MOST_TOKENS = 400
"""Limit for a text with its continuation: a page shows all tokens, each with twenty predictions."""


Text = TypeVar("Text", str, Tensor)


class Reader:
    """Reads and continues texts, one at a time; `models` is the cache that the models come from."""

    def __init__(self, models: ModelCache = MODELS) -> None:
        self._models = models
        self._one_at_a_time = Lock()  # a second reader would load a second copy of the model
        self._dense_text: tuple[Hashable, Any] | None = None  # the last one by question; guarded by the lock

    def continue_prompt(
        self,
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
            recipe: a pinned recipe.
            kept: the pruned weights of every block.
            temperature: 0 = greedy; otherwise sampled, with a seed that both models share.

        Raises:
            ModelError: the model cannot be loaded or has no tokenizer.
            PrunescopeError: the prompt leaves no room for a continuation.
        """
        with self._one_at_a_time, self._models.lease() as lease, _explained(recipe):
            model = _dense(lease, recipe)
            # next to a page and a browser, a small model is quicker on one thread
            with threads_for(small=model.is_small, alone=False):
                write_on = partial(generate, model, prompt, tokens=tokens, temperature=temperature, seed=seed)
                dense = self._dense_once(recipe, (prompt, tokens, temperature, seed), write_on)
                _prune(model, kept)
                pruned = write_on()
        return PromptTexts(
            prompt=prompt, dense=dense, pruned=pruned, tokens=tokens, temperature=temperature, seed=seed
        )

    def read(
        self,
        recipe: Recipe,
        kept: Mapping[int, BlockWeights] | None,
        text: str,
        writing: Writing,
        *,
        losses: bool,
    ) -> Reading:
        """Read a text with a recipe's dense and pruned model, after one of them has continued it.

        Args:
            recipe: a pinned recipe.
            kept: the pruned weights of every block; None if only the dense model is used.
            writing: which model continues the text, and how.
            losses: whether to compare both models' losses per token; otherwise the tokens are only spelled.

        Raises:
            ModelError: the model cannot be loaded or has no tokenizer.
            PrunescopeError: the text is empty or too long, or a model predicts no finite numbers.
        """
        with self._one_at_a_time, self._models.lease() as lease, _explained(recipe):
            model = _dense(lease, recipe)
            given = _fitting_ids(model, text, writing)
            with threads_for(small=model.is_small, alone=False):
                # The leased model starts dense, so only writing by the pruned one needs its weights here.
                if writing.which == "pruned" and writing.tokens:
                    _prune(model, kept)
                ids = self._continued(model, recipe, given, writing) if writing.tokens else given
                if losses:
                    tokens = _compared(lease, recipe, kept, ids)
                else:
                    tokens = without_losses(Spelling(model.tokenizer), ids)
        return Reading(tokens, len(given))

    def _continued(self, model: LanguageModel, recipe: Recipe, given: Tensor, writing: Writing) -> Tensor:
        """Return the ids `given`, `[tokens]`, followed by the model's continuation."""
        count = min(writing.tokens, _most_tokens(model) - len(given))  # at least 1, see `_fitting_ids`

        def continued() -> Tensor:
            new = write(model, given, tokens=count, temperature=writing.temperature, seed=writing.seed)
            return cat([given, new])

        if writing.which == "dense":
            return self._dense_once(recipe, (tuple(given.tolist()), writing), continued)
        return continued()

    def _dense_once(self, recipe: Recipe, asked: Hashable, make: Callable[[], Text]) -> Text:
        """Return what the dense model writes; the last answer is remembered, because every run of a page is
        compared with it.
        """
        # Only what determines the dense model: runs that differ in their pruning share the answer.
        question = (recipe.model, recipe.revision, recipe.dtype, recipe.device, asked)
        if self._dense_text is None or self._dense_text[0] != question:
            self._dense_text = (question, make())
        text: Text = self._dense_text[1]
        return text


@contextmanager
def _explained(recipe: Recipe) -> Iterator[None]:
    """Add the cause to an error about numbers that are not finite."""
    try:
        yield
    except NonFiniteError as error:
        directory, dtype, *_ = model_identity(recipe)
        raise with_cause(error, directory, recipe.model, dtype) from error


def _dense(lease: Lease, recipe: Recipe) -> LanguageModel:
    """Return the leased model with its dense weights."""
    return lease.model(model_identity(recipe), partial(dense_model, recipe))


def _prune(model: LanguageModel, kept: Mapping[int, BlockWeights] | None) -> None:
    """Write the pruned weights into the model."""
    assert kept is not None, "the pruned model is only used with its weights"
    for block in model.blocks:
        restore(block, kept[block.index])


def _compared(
    lease: Lease, recipe: Recipe, kept: Mapping[int, BlockWeights] | None, ids: Tensor
) -> tuple[Token, ...]:
    """Return the tokens `ids`, `[tokens]`, with both models' losses and predictions."""
    model = _dense(lease, recipe)  # it may hold the pruned weights, which wrote the text
    # Hidden states are enough: the tail is the same for both, and computes the logits later, in parts.
    dense = hidden_after_blocks(model, ids)
    _prune(model, kept)
    pruned = hidden_after_blocks(model, ids)
    return compare(Spelling(model.tokenizer), ids, predictions(model, ids, dense, pruned))


def _fitting_ids(model: LanguageModel, text: str, writing: Writing) -> Tensor:
    """Return the ids `[tokens]` of a text that leaves room for a continuation if one is wanted, and otherwise
    has at least one token to predict.
    """
    ids, to_write = encode(model, text), 1 if writing.tokens else 0
    most = _most_tokens(model) - to_write  # room for at least one new token
    if len(ids) < 2 - to_write:
        raise PrunescopeError(
            "The text has fewer than two tokens, so there is nothing to predict. Type a few words."
        )
    if len(ids) > most:
        raise PrunescopeError(f"The text has {len(ids):,} tokens, but the limit is {most}. Shorten it.")
    return ids


def _most_tokens(model: LanguageModel) -> int:
    return min(MOST_TOKENS, context_length(model.module.config) or MOST_TOKENS)
