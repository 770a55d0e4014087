"""One prompt continued by a recipe's dense model and by the same model pruned: greedy, or sampled with a seed that both share."""

from __future__ import annotations

from collections.abc import Mapping

from engine.evaluation.generation import generate
from engine.evaluation.prompt_texts import PromptTexts
from engine.inputs import dense_model
from engine.models.threads import threads_for
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe


def generate_pair(
    recipe: Recipe, kept: Mapping[int, BlockWeights], prompt: str, *, tokens: int = 80, temperature: float = 0.0, seed: int = 0
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
    return PromptTexts(prompt=prompt, dense=dense, pruned=pruned, tokens=tokens, temperature=temperature, seed=seed)
