"""The bundled runs of a real language model: the recipes, all under one protocol.

The model is `engine.models.known_files.SMOLLM2`, which is not bundled. It is calibrated on the bundled
stories, never on the text that it is evaluated on, and measured on the beginning of WikiText-2's test split:
all of it would take twenty times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.models.known_files import SMOLLM2
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
    recipe = pin(Recipe.build({**PROTOCOL, **fields}))  # on the bundled model, which is always here
    return recipe.model_copy(update={"model": SMOLLM2.name, "revision": SMOLLM2.fingerprint})
