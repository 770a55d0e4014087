"""What a local directory holds, judged by its file names and its config.json, before anything is built.

A directory that is not a full-precision model in safetensors is named as what it is (adapter, GGUF, quantised
checkpoint), with the way out. No model library is imported. What only the weight files can tell is found by
`engine.models.checkpoint`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.hub.cache import ADAPTER_CONFIG, CONFIG, INDEX, holds_gguf, stored_weights
from engine.hub.git_lfs import FIX, is_pointer
from engine.models import quantisation
from engine.numbers import listed

ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
"""Files of a distributed checkpoint, which transformers reads in place of the ordinary ones."""


def inspect(directory: Path, name: str) -> None:
    """Check that a directory may contain a full-precision model; `name` is what error messages call it.

    Raises:
        ModelError: it holds something else, or config.json says that the weights are quantised.
    """
    names = [path.name for path in directory.iterdir()]
    if {ADAPTER_CONFIG, *ADAPTER_WEIGHTS} & set(names):
        raise _adapter(directory, name, names)
    if CONFIG not in names:
        what = (
            "holds GGUF files. Choose one of them instead of the directory."
            if holds_gguf(names)
            else "holds no config.json, so it does not contain a model. Choose the directory that "
            "`save_pretrained` wrote, with config.json and safetensors."
        )
        raise ModelError(f"The directory {directory} {what}", kind="missing")
    if pointers := [file for file in _needed(directory) if is_pointer(directory / file)]:
        raise ModelError(
            f"The model {name} is incomplete: only Git LFS pointers are here in place of {listed(pointers)}. "
            f"{FIX}.",
            kind="damaged",
        )
    if any(DISTRIBUTED.fullmatch(file) for file in names):
        raise ModelError(
            f"The directory {directory} holds a distributed checkpoint, which is not read here. Save the "
            "model again with `save_pretrained`.",
            kind="no-safetensors",
        )
    if found := quantisation.named_in(_read(directory / CONFIG)):
        raise found.error(name)


def _needed(directory: Path) -> list[str]:
    """Return the names of the files without which there is no model."""
    try:
        return [CONFIG, *stored_weights(directory)]
    except (OSError, ValueError):  # a damaged index, which `Checkpoint` reports
        return [CONFIG, INDEX]


def _adapter(directory: Path, name: str, names: list[str]) -> ModelError:
    base = _read(directory / ADAPTER_CONFIG).get("base_model_name_or_path") or "its base model"
    merge = f"Merge it into {base} first (`merge_and_unload` in peft), and choose the merged model"
    if any(file.endswith(".safetensors") and file not in ADAPTER_WEIGHTS for file in names):
        # Plain `from_pretrained` would apply the adapter if peft is installed, and ignore it otherwise.
        return ModelError(
            f"The directory {directory} holds a model and an adapter, so it is not clear which of the two "
            f"models is meant. {merge}; or move the adapter's files to another directory.",
            kind="adapter",
        )
    return ModelError(f"The model {name} is only an adapter of {base}. {merge}.", kind="adapter")


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is none, which whoever needs it reports."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
