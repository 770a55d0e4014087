"""One prompt continued by a recipe's dense model and by the same model pruned: greedy, or sampled with a seed that both share."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from engine.evaluation.generation import generate
from engine.models.device import pick_device, pick_dtype
from engine.models.loading import load, load_config, stored_dtype
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe


class PromptTexts(BaseModel):
    """One prompt continued twice; the texts do not repeat the prompt.

    Attributes:
        tokens: how many tokens each continuation has at most.
        temperature: 0 = greedy (always the likeliest token); else the softmax is sharpened or flattened by it.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    dense: str
    pruned: str
    tokens: int
    temperature: float
    seed: int


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
    device = pick_device(recipe.device)
    dtype = pick_dtype(recipe.dtype, device, stored_dtype(load_config(recipe.model, recipe.revision)))
    model = load(recipe.model, revision=recipe.revision, dtype=dtype, device=device)
    dense = generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed)
    for block in model.blocks:
        restore(block, kept[block.index])
    pruned = generate(model, prompt, tokens=tokens, temperature=temperature, seed=seed)
    return PromptTexts(prompt=prompt, dense=dense, pruned=pruned, tokens=tokens, temperature=temperature, seed=seed)
