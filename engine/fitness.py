"""Whether a recipe suits its model: asked before a run starts, from the model's configuration alone."""

from __future__ import annotations

from engine.errors import RecipeError
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
