"""Whether a recipe suits its model: asked before a run starts, from the model's configuration alone."""

from __future__ import annotations

from engine.capacity import measure
from engine.cost import estimate
from engine.errors import RecipeError
from engine.hub.place import hub_cache
from engine.models.summary import summarise
from engine.recipe import Recipe
from engine.validation import faults_against


def require_fit(recipe: Recipe) -> None:
    """Refuse a recipe that its model cannot take.

    Raises:
        RecipeError: with every fault (widths that m does not divide, a ratio too few, windows too long).
        ModelError: the model cannot be found or read.
    """
    summary = summarise(recipe.model, recipe.revision)
    if faults := faults_against(recipe.model_dump(), summary.widths, summary.sizes, summary.longest):
        raise RecipeError(faults)


def shortage(recipe: Recipe) -> str:
    """Why this machine has no room for a recipe and what would fit, in sentences; empty where it has."""
    summary = summarise(recipe.model, recipe.revision)
    device = summary.device if recipe.device == "auto" else recipe.device
    cost = estimate(recipe, summary, measure(device, hub_cache()))
    return f"{cost.problem} {cost.advice}".strip()
