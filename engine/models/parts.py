"""The parts of a model besides its text model: they are never pruned, and an export keeps them unchanged.

A part is recognised by the words that model authors use in the names of its weights (`model.vision_tower.…`,
`multi_modal_projector.…`, `mtp.…`). A class for text alone does not build these parts, so that they exist in
the files only.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any

VISION, AUDIO, PROJECTOR, PREDICTION = "vision tower", "audio tower", "projector", "multi-token prediction"
WORDS = {
    VISION: "vision|visual|image|img|vit|video",
    AUDIO: "audio|speech|sound",
    PROJECTOR: "projector|connector|merger|aligner|resampler",
    PREDICTION: "mtp|nextn",
}
"""By kind, the words with which a name, or what follows a dot or underscore in it, begins; the first counts.
"""
COMPUTED, IGNORED = "computed", "ignored by the class"
"""Kinds of tensors besides the parts: buffers, of which nothing is lost, and what the class lists by name."""
BUFFER = re.compile(
    r"(?:^|\.)(?:(?:original_)?inv_freq|(?:cos|sin)_cached|position_ids|embed_positions\.weights|causal_mask"
    r"|num_batches_tracked|version)$"
)
MASK = re.compile(r"(?:^|\.)(?:attn|attention)\.(?:masked_)?bias$")
"""The causal mask `[1, 1, tokens, tokens]` of GPT-2 and its relatives, and the value that it masks with."""
LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_PATTERNS = {kind: re.compile(rf"(?:^|[._])(?:{words})(?![a-z])") for kind, words in WORDS.items()}


def part_of(name: str) -> str | None:
    """Return the part that a weight with this name belongs to, None for the text model."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(name)), None)


def left_out(name: str, shape: tuple[int, ...], model: Any) -> str | None:
    """Return the kind of a stored tensor that the class has no place for; None if it must not be ignored.

    Args:
        name: as transformers converts it for this model.
    """
    if is_computed(name, shape):
        return COMPUTED
    if part := part_of(name):
        return part
    if _predicts_more(name, model.config.get_text_config()):
        return PREDICTION
    ignored = model._keys_to_ignore_on_load_unexpected or ()  # patterns of the class
    return IGNORED if any(re.search(pattern, name) for pattern in ignored) else None


def _predicts_more(name: str, config: Any) -> bool:
    """Return whether a tensor is of the layers after the last that predict further tokens (DeepSeek-V3)."""
    layer, further = LAYER.search(name), getattr(config, "num_nextn_predict_layers", None) or 0
    return layer is not None and 0 <= int(layer[1]) - config.num_hidden_layers < further


def is_computed(name: str, shape: tuple[int, ...]) -> bool:
    """Return whether a tensor is a buffer that older versions stored and the class computes itself."""
    if MASK.search(name):
        return prod(shape) == 1 or (len(shape) == 4 and shape[:2] == (1, 1))
    return BUFFER.search(name) is not None


def sentence(skipped: dict[str, int]) -> str | None:
    """Return a note about the parts among the kinds of weights that are never pruned, None without any."""
    parts = [f"{kind}: {weights:,} weights" for kind, weights in skipped.items() if kind in WORDS]
    if not parts:
        return None
    return (
        f"Only the text model is pruned. Other parts are left unpruned ({'; '.join(parts)}). "
        "A saved model keeps them unchanged."
    )
