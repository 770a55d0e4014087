"""The bundled runs of a real language model: the recipes, all under one protocol.

The model is `engine.models.known_files.SMOLLM2`, which is not bundled. It is calibrated on the bundled
stories, never on the text that it is evaluated on, and measured on the beginning of WikiText-2's test split:
all of it would take twenty times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.models.identity import DEMO, path_fault
from engine.models.known_files import KNOWN_FILES, SMOLLM2, KnownFile
from engine.recipe import Recipe, pin

PROTOCOL: Mapping[str, Any] = {
    "calibration": "stories",
    "samples": 8,
    "length": 512,
    "evaluation": "wikitext2-24",
}
SPARSITIES = (0.5, 0.6)
PATTERN = "2:4"


def real_recipe(**fields: Any) -> Recipe:
    """Return the pinned recipe of a run of the real model, whether or not its file is on this machine."""
    return _pin_absent(Recipe.build({**PROTOCOL, **fields}), SMOLLM2)


def pin_known(recipe: Recipe) -> Recipe:
    """Return the pinned recipe, also of a known model file that is not on this machine: its content is known.

    Raises:
        RecipeError: as `pin`.
    """
    file = KNOWN_FILES.get(recipe.model)
    if file is None or path_fault(recipe.model, recipe.revision) is None:
        return pin(recipe)
    return _pin_absent(recipe, file)


def _pin_absent(recipe: Recipe, file: KnownFile) -> Recipe:
    pinned = pin(recipe.model_copy(update={"model": DEMO, "revision": None}))  # that model is always here
    return pinned.model_copy(update={"model": file.name, "revision": file.fingerprint})
