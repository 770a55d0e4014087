"""What is taken away from a finished run: the pruned model as an ordinary `from_pretrained` directory, and the masks as one file.

Both are made from the dense model and the blocks that the run kept, in the dtype of the run, and appear in one step.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import StoreError
from engine.models.loading import load
from engine.pruning.weights import BlockWeights, restore
from engine.record import RunRecord


def save_model(record: RunRecord, kept: Mapping[int, BlockWeights], directory: Path) -> None:
    """Write the pruned model, with its tokenizer, to a directory that does not exist or is empty.

    Raises:
        StoreError: the directory holds something, or cannot be written.
        ModelError: the dense model cannot be loaded any more.
    """
    assert record.recipe is not None, "a finished run has a recipe"
    assert record.model is not None, "a finished run has a model"
    if directory.exists() and any(directory.iterdir()):
        raise StoreError(f"The model was to be written to {directory}, but that directory is not empty. Choose another, or empty it.")
    recipe = record.recipe
    model = load(recipe.model, revision=recipe.revision, dtype=getattr(torch, record.model.dtype), device=torch.device("cpu"))
    for block in model.blocks:
        restore(block, kept[block.index])
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        model.module.save_pretrained(partial)  # type: ignore[operator]
        if model.tokenizer is not None:
            model.tokenizer.save_pretrained(partial)
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
    except OSError as error:
        raise StoreError(f"The model could not be written to {directory}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_masks(masks: Mapping[str, Tensor], path: Path) -> None:
    """Write the masks, a bool tensor `[out, in]` a linear under its path in the model, True = kept.

    Raises:
        StoreError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file({name: mask.contiguous() for name, mask in masks.items()}, partial)
        partial.rename(path)
    except OSError as error:
        raise StoreError(f"The masks could not be written to {path}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
