"""The parts of a model besides its text model: they are never pruned, and an export keeps them unchanged.

A part is recognised by the words that model authors use in the names of its weights (`model.vision_tower.…`,
`multi_modal_projector.…`, `mtp.…`). A class for text alone does not build these parts, so that they exist in
the files only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path

from safetensors import safe_open
from torch import nn

from engine.models.fillings import fillings

VISION, AUDIO, PROJECTOR, PREDICTION = "vision tower", "audio tower", "projector", "multi-token prediction"
WORDS = {
    VISION: "vision|visual|image|img|vit|video",
    AUDIO: "audio|speech|sound",
    PROJECTOR: "projector|connector|merger|aligner|resampler",
    PREDICTION: "mtp|nextn",
}
"""By kind, the words with which a name, or what follows a dot or underscore in it, begins; the first counts.
"""
_PATTERNS = {kind: re.compile(rf"(?:^|[._])(?:{words})(?![a-z])") for kind, words in WORDS.items()}


def part_of(name: str) -> str | None:
    """Return the part that a weight with this name belongs to, None for the text model."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(name)), None)


def left_out(module: nn.Module, files: Mapping[str, Path]) -> dict[str, int]:
    """Return the number of weights in the files that `module` has no parameters for, by part.

    Args:
        files: the file of each tensor by its name.
    """
    counts: Counter[str] = Counter()
    parts = {name: part for name in files if (part := part_of(name))}
    # Only if there are any, because the many names of a large mixture take a while.
    for filling in fillings(module, files) if parts else ():
        for name in () if filling.parameters else parts.keys() & filling.tensors:
            with safe_open(files[name], framework="pt") as file:
                counts[parts[name]] += prod(file.get_slice(name).get_shape())
    return dict(counts)


def sentence(skipped: dict[str, int]) -> str | None:
    """Return a note about the parts among the kinds of weights that are never pruned, None without any."""
    parts = [f"{kind}: {weights:,} weights" for kind, weights in skipped.items() if kind in WORDS]
    if not parts:
        return None
    return (
        f"Only the text model is pruned. Other parts are left unpruned ({'; '.join(parts)}). "
        "A saved model keeps them unchanged."
    )
