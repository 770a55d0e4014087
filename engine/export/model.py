"""What is taken away from a finished run: the pruned model as an ordinary `from_pretrained` directory, and
the masks as one file.

Both are made from the dense model and the blocks that the run kept, in the dtype of the run, and appear in
one step. The model is read, pruned and written a block at a time, so that saving needs the memory of a block,
the embeddings and one shard, however large the model is. Names are those of the model's own parameters
(experts fused, as transformers holds them), which `from_pretrained` takes as they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import ModelError, StoreError
from engine.hub.cache import INDEX, SINGLE
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe
from engine.record import RunRecord

SHARD = 4_000_000_000
"""Bytes of weights a file at most, but for a block that is larger."""
FORMAT = {"format": "pt"}


def save_model(
    record: RunRecord,
    kept: Mapping[int, BlockWeights],
    directory: Path,
    *,
    card: str | None = None,
    shard: int = SHARD,
) -> None:
    """Write the pruned model, with its tokenizer, to a directory that does not exist or is empty.

    Args:
        card: the text of its README.md; None for none.
        shard: bytes of weights a file.

    Raises:
        StoreError: the directory holds something, or cannot be written.
        ModelError: the dense model cannot be loaded any more.
    """
    assert record.recipe is not None and record.model is not None, "a finished run has both"
    if directory.exists() and any(directory.iterdir()):
        raise StoreError(
            f"The model was to be written to {directory}, but that directory is not empty. Choose another, or empty it."
        )
    recipe = record.recipe.model_copy(update={"dtype": record.model.dtype, "device": "cpu"})
    model = _dense(recipe)
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_weights(model, kept, partial, shard)
        _write_rest(model, partial, card)
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(
            f"The model could not be written to {directory}: {said}. Free some space, or choose another place."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _dense(recipe: Recipe) -> LanguageModel:
    """Streamed where that is possible, for it needs less; whole where blocks share weights."""
    try:
        return dense_model(recipe, "streamed")
    except ModelError as error:
        if error.kind != "other":
            raise
        return dense_model(recipe)


def _write_weights(
    model: LanguageModel, kept: Mapping[int, BlockWeights], directory: Path, shard: int
) -> None:
    """All weights, block by block, in files of at most `shard` bytes with an index, or in a single one."""
    lot: dict[str, Tensor] = {}
    where: dict[str, str] = {}
    total = number = 0
    for tensors in _pieces(model, kept):
        size = sum(tensor.nbytes for tensor in tensors.values())
        if lot and sum(tensor.nbytes for tensor in lot.values()) + size > shard:
            number += 1
            where |= _write_shard(lot, directory, number)
            lot = {}
        lot |= tensors
        total += size
    if not number:
        save_file(lot, directory / SINGLE, metadata=FORMAT)
        return
    where |= _write_shard(lot, directory, number + 1)
    _name_shards(directory, where, number + 1, total)


def _pieces(model: LanguageModel, kept: Mapping[int, BlockWeights]) -> Iterator[dict[str, Tensor]]:
    """What stands outside the blocks, then each pruned block; a weight that is tied to another one comes
    once.
    """
    inside = tuple(f"{block.path}." for block in model.blocks)
    yield {
        name: weight.detach().contiguous()
        for name, weight in model.module.named_parameters()
        if not name.startswith(inside)
    } | _buffers(model)
    seen: set[int] = set()
    for block in model.blocks:
        with model.present(block):
            restore(block, kept[block.index])
            own = {
                name: weight
                for name, weight in block.module.named_parameters(prefix=block.path)
                if id(weight) not in seen
            }
            seen |= {id(weight) for weight in own.values()} if model.residence == "resident" else set()
            yield {name: weight.detach().contiguous().clone() for name, weight in own.items()}


def _buffers(model: LanguageModel) -> dict[str, Tensor]:
    """Buffers that files hold: all that the model's state has beside its parameters."""
    parameters = dict(model.module.named_parameters(remove_duplicate=False))
    return {
        name: value.contiguous()
        for name, value in model.module.state_dict().items()
        if name not in parameters and not value.is_meta
    }


def _write_shard(tensors: dict[str, Tensor], directory: Path, number: int) -> dict[str, str]:
    """Write one file; which file holds each of its tensors."""
    name = f"part-{number:05d}"
    save_file(tensors, directory / name, metadata=FORMAT)
    return dict.fromkeys(tensors, name)


def _name_shards(directory: Path, where: Mapping[str, str], count: int, total: int) -> None:
    """The names that `from_pretrained` looks for, which say how many files there are, and their index."""
    names = {
        f"part-{number:05d}": f"model-{number:05d}-of-{count:05d}.safetensors"
        for number in range(1, count + 1)
    }
    for part, name in names.items():
        (directory / part).rename(directory / name)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {tensor: names[part] for tensor, part in where.items()},
    }
    (directory / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")


def _write_rest(model: LanguageModel, directory: Path, card: str | None) -> None:
    """Configuration, tokenizer and card."""
    config: Any = model.module.config
    config.dtype = model.dtype
    config.architectures = [type(model.module).__name__]
    config.save_pretrained(directory)
    generation = getattr(model.module, "generation_config", None)
    if generation is not None:
        generation.save_pretrained(directory)
    if model.tokenizer is not None:
        model.tokenizer.save_pretrained(directory)
    if card is not None:
        (directory / "README.md").write_text(card, encoding="utf-8")


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
