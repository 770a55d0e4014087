"""What to keep in mind about results that were calibrated on the bundled stories and measured on other texts.

The stories are the only text that every user has without a network, so the bundled runs of a real model are
calibrated on them (`engine.recipe.real_model`). They are narrow: short sentences of a small vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.corpora.named import NAMED
from engine.numbers import listed
from engine.recipe import Recipe
from engine.recipe.real_model import PROTOCOL

STORIES = "stories"
FITTED = (
    "Weight updates (SparseGPT, APT) also fit the kept weights to the calibration text, so on another text "
    "they gain less, or lose"
)


def narrow_calibration(calibration: str, evaluations: Sequence[str]) -> str:
    """Return in sentences what calibration on the stories means for the results on other texts; empty if the
    calibration text is another one, or all is measured on the stories.

    Args:
        calibration, evaluations: the texts, as in a recipe.
    """
    others = [name for name in evaluations if name != STORIES]
    if calibration != STORIES or not others:
        return ""
    titles = listed([NAMED[name].title if name in NAMED else "another text" for name in others])
    return f"Calibrated on the bundled children's stories, measured on {titles}. {FITTED}."


def narrow_calibration_of(recipe: Recipe | None) -> str:
    """Return the same for one run; empty if none of its methods reads the calibration text."""
    if recipe is None or not recipe.reads_text:
        return ""
    return narrow_calibration(recipe.calibration, recipe.evaluations)


OF_REAL_MODEL = narrow_calibration(PROTOCOL["calibration"], [PROTOCOL["evaluation"]])
"""About the bundled runs of the real model."""
