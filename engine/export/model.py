"""The pruned model of a finished run as an ordinary `from_pretrained` directory.

The exported model is a copy of the model that was pruned, with other weights (`engine.export.weights`):
configuration, tokenizer, processors and generation settings are copied byte for byte, except that a run that
gives biases to linears without one sets the configuration's entries for them. A model whose files
are not those of the run any more is rejected. What is left out: weights in other formats, and the source's
model card, which is replaced by one of the run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from engine.errors import ModelError, StoreError
from engine.export.model_card import model_card
from engine.export.weights import write_weights
from engine.hardware import disk
from engine.hub.cache import CONFIG, indexed_files
from engine.inputs import model_digest, model_directory
from engine.models.biases import Biases, possible_biases
from engine.models.checkpoint import Checkpoint
from engine.models.discovery import find_blocks
from engine.models.loading import build_skeleton, read_config
from engine.models.tokenizer import VOCABULARY
from engine.numbers import listed
from engine.progress import drain
from engine.pruning.weights import BlockWeights
from engine.record import RunRecord

COPIED = (
    "*.json",
    "*.py",  # the model's own code, which `auto_map` in config.json may name; copied, but never run here
    "*.jinja",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "vocab*",
    "merges*",
    "bpe.codes",
    "dict.txt",
    "additional_chat_templates/*",
    "LICEN[CS]E*",
    "NOTICE*",
    "USE_POLICY*",
)
"""What an export takes from its source besides the weights, as patterns of paths in the directory."""
LEFT_OUT = (".*", "*.index.json", "adapter_*", "trainer_state.json")
"""Exceptions from `COPIED`. An index is copied only if all of its files are."""
NO_TOKENIZER = (
    "The model has no tokenizer, so the saved one has none either. Add the tokenizer's files to use it with "
    "text."
)


def save_model(record: RunRecord, pruned: Mapping[int, BlockWeights], directory: Path) -> tuple[str, ...]:
    """Write the pruned model to a directory that does not exist or is empty, and return notes about it.

    Args:
        pruned: the run's pruned blocks by index.

    Raises:
        StoreError: the directory is not empty, or cannot be written.
        ModelError: the model can no longer be loaded, or is not the one that the run pruned.
    """
    assert record.recipe is not None and record.model is not None, "a finished run has both"
    if directory.exists() and any(directory.iterdir()):
        raise StoreError(
            f"The model cannot be written to {directory}, because that directory is not empty. "
            "Choose another, or empty it."
        )
    source = drain(model_directory(record.recipe))
    _require_unchanged(record, source)
    disk.remove_leftovers(directory)  # a killed export leaves gigabytes
    try:
        with disk.new_directory(directory) as new:
            notes = _write(record, pruned, source, new)
    except (OSError, SafetensorError) as error:
        # A SafetensorError has no strerror and may span several lines.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(
            f"The model could not be written to {directory}: {reason}. "
            "Free some space, or choose another directory."
        ) from error
    return notes


def _require_unchanged(record: RunRecord, source: Path) -> None:
    assert record.model is not None
    name = record.model.name
    if record.model.digest not in (None, model_digest(source, name)):
        raise ModelError(
            f"The weights or the configuration of {name} have changed since the run, so this is not the "
            "model that it pruned and measured. Restore the files, or run the recipe again with the new ones."
        )


def _write(record: RunRecord, pruned: Mapping[int, BlockWeights], source: Path, new: Path) -> tuple[str, ...]:
    """Write all files of the export to the directory `new`; return notes about it."""
    assert record.model is not None
    name = record.model.name
    config = read_config(source, name)
    module = build_skeleton(config, name)
    biases = _new_biases(record, config)
    rounded, appended = write_weights(
        module, find_blocks(module), pruned, Checkpoint(source, name), source, new, biases.added
    )
    _copy_rest(source, new)
    for index in new.glob("*.safetensors.index.json") if appended else ():
        _edit_json(index, lambda content: content["weight_map"].update(appended))
    notes = []
    if biases.entries:
        set_entries(new / CONFIG, biases.entries)
        notes.append(
            f"Linears have biases that the dense model does not have ({listed(biases.entries)} in "
            "config.json); they replace what the removed weights contributed on average."
        )
    if rounded:
        notes.append(
            f"New weights were computed in {record.model.dtype} and rounded to the dtype of the model's "
            "files, so the perplexity of the saved model may differ slightly from that of the run."
        )
    if not (with_tokenizer := has_tokenizer(new)):
        notes.append(NO_TOKENIZER)
    card = model_card(record, notes, with_tokenizer=with_tokenizer)
    (new / "README.md").write_text(card, encoding="utf-8")
    return tuple(notes)


def _new_biases(record: RunRecord, config: Any) -> Biases:
    """Return the biases that the run gave to linears without one."""
    assert record.recipe is not None and record.model is not None
    if record.recipe.bias == "keep":
        return Biases((), {})
    return possible_biases(config, record.model.name)


def set_entries(path: Path, entries: Sequence[str]) -> None:
    """Set entries of a configuration file to true: in the part about the text model, if there is one."""

    def add(content: dict[str, Any]) -> None:
        text = content.get("text_config")
        (text if isinstance(text, dict) else content).update(dict.fromkeys(entries, True))

    _edit_json(path, add)


def _edit_json(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def has_tokenizer(directory: Path) -> bool:
    """Return whether a model's directory has the tokens of a tokenizer."""
    return any(any(directory.glob(pattern)) for pattern in VOCABULARY)


def _copy_rest(source: Path, new: Path) -> None:
    """Copy what belongs to the model besides its weights, which are already there."""
    for index in source.glob("*.safetensors.index.json"):
        if _is_complete(index, new):
            shutil.copyfile(index, new / index.name)
    for path in {path for pattern in COPIED for path in source.glob(pattern)}:
        if path.is_file() and not any(fnmatch(path.name, pattern) for pattern in LEFT_OUT):
            target = new / path.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)  # not its permissions: the source may be read-only


def _is_complete(index: Path, directory: Path) -> bool:
    """Return whether a directory has all files that an index lists."""
    try:
        return all((directory / file).is_file() for file in indexed_files(index))
    except ValueError:  # an index that the model is not read by may be damaged
        return False
