"""Exports of a finished run: the pruned model as an ordinary `from_pretrained` directory, and the masks as
one file.

Both are made from the dense model and the run's pruned blocks, in the run's dtype, and appear in one step.
The model is read, pruned and written block by block, so that saving needs the memory of one block, the
embeddings and one shard, however large the model is. The tensors have the names of the model's own parameters
(fused experts as transformers holds them), which `from_pretrained` loads as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import ModelError, StoreError
from engine.hardware import disk
from engine.hub.cache import INDEX, SINGLE
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe
from engine.record import RunRecord

SHARD = 4_000_000_000
"""Most bytes of weights in one file; a block is never split, so a larger block makes a larger file."""
FORMAT = {"format": "pt"}
"""The metadata without which transformers refuses a safetensors file."""


def save_model(
    record: RunRecord,
    pruned: Mapping[int, BlockWeights],
    directory: Path,
    *,
    card: str | None = None,
    shard: int = SHARD,
) -> None:
    """Write the pruned model, with its tokenizer, to a directory that does not exist or is empty.

    Args:
        pruned: the run's pruned blocks by index.
        card: the text of its README.md; None for none.
        shard: bytes of weights per file.

    Raises:
        StoreError: the directory is not empty, or cannot be written.
        ModelError: the dense model can no longer be loaded.
    """
    assert record.recipe is not None and record.model is not None, "a finished run has both"
    if directory.exists() and any(directory.iterdir()):
        raise StoreError(
            f"The model cannot be written to {directory}, because that directory is not empty. "
            "Choose another, or empty it."
        )
    # On the CPU: a run may be using the accelerator.
    recipe = record.recipe.model_copy(update={"dtype": record.model.dtype, "device": "cpu"})
    model = _dense(recipe)
    disk.remove_leftovers(directory)  # a killed export leaves gigabytes
    try:
        with disk.new_directory(directory) as new:
            _write_weights(model, pruned, new, shard)
            _write_rest(model, new, card)
    except (OSError, SafetensorError) as error:
        # A SafetensorError has no strerror and may span several lines.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(
            f"The model could not be written to {directory}: {reason}. "
            "Free some space, or choose another directory."
        ) from error


def _dense(recipe: Recipe) -> LanguageModel:
    """Load the dense model streamed, which needs less memory; whole if its blocks share weights."""
    try:
        return dense_model(recipe, "streamed")
    except ModelError as error:
        if error.kind != "other":
            raise
        return dense_model(recipe)


def _write_weights(
    model: LanguageModel, pruned: Mapping[int, BlockWeights], directory: Path, shard: int
) -> None:
    """Write all weights block by block: files of at most `shard` bytes with an index, or a single file."""
    pending: dict[str, Tensor] = {}
    parts: dict[str, int] = {}  # the number of the file that holds each tensor
    total = count = 0

    def write_part() -> None:
        nonlocal count
        count += 1
        save_file(pending, directory / f"part-{count:05d}", metadata=FORMAT)
        parts.update(dict.fromkeys(pending, count))
        pending.clear()

    for tensors in _pieces(model, pruned):
        size = sum(tensor.nbytes for tensor in tensors.values())
        # A part is never empty, so a piece larger than a shard gets a file of its own.
        if pending and sum(tensor.nbytes for tensor in pending.values()) + size > shard:
            write_part()
        pending |= tensors
        total += size
    if not count:
        save_file(pending, directory / SINGLE, metadata=FORMAT)
        return
    write_part()
    # `from_pretrained` expects names that tell the number of files, which is known only now.
    names = {number: f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)}
    for number, name in names.items():
        (directory / f"part-{number:05d}").rename(directory / name)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {tensor: names[number] for tensor, number in parts.items()},
    }
    (directory / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")


def _pieces(model: LanguageModel, pruned: Mapping[int, BlockWeights]) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors outside the blocks with the model's buffers, then those of each pruned block.

    A weight that is tied to another one is yielded once, as a checkpoint stores it.
    """
    inside = tuple(f"{block.path}." for block in model.blocks)
    # With every name of a tied weight; `state_dict` lists them all, and none is a buffer.
    parameters = dict(model.module.named_parameters(remove_duplicate=False))
    buffers = {
        name: value.contiguous()
        for name, value in model.module.state_dict().items()
        if name not in parameters and not value.is_meta
    }
    yield {
        name: weight.detach().contiguous()
        for name, weight in model.module.named_parameters()
        if not name.startswith(inside)
    } | buffers
    seen: set[int] = set()
    for block in model.blocks:
        with model.present(block):
            # Overwrites the dense weights, which are not needed again.
            restore(block, pruned[block.index])
            own = {
                name: weight
                for name, weight in block.module.named_parameters(prefix=block.path)
                if id(weight) not in seen
            }
            # A streamed block is freed after use, so the next one may have the same ids.
            seen |= {id(weight) for weight in own.values()} if model.residence == "resident" else set()
            # A copy, because a streamed block is dropped after this.
            yield {name: weight.detach().contiguous().clone() for name, weight in own.items()}


def _write_rest(model: LanguageModel, directory: Path, card: str | None) -> None:
    """Write the configuration, the tokenizer and the card."""
    config: Any = model.module.config
    config.dtype = model.dtype
    config.architectures = [type(model.module).__name__]  # the class that `AutoModel` and servers look for
    config.save_pretrained(directory)
    generation = getattr(model.module, "generation_config", None)
    if generation is not None:
        generation.save_pretrained(directory)
    if model.tokenizer is not None:
        model.tokenizer.save_pretrained(directory)
    if card is not None:
        (directory / "README.md").write_text(card, encoding="utf-8")


def save_masks(masks: Mapping[str, Tensor], path: Path) -> None:
    """Write the masks: a bool tensor `[out, in]` per linear under its path in the model, True = kept.

    Raises:
        StoreError: the file cannot be written.
    """
    tensors = {name: mask.contiguous() for name, mask in masks.items()}
    try:
        disk.replace_file(path, lambda temporary: save_file(tensors, temporary))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(f"The masks could not be written to {path}: {reason}.") from error
