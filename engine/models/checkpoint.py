"""The tensors of a model directory, by name and without reading them, and reading some of them into a model.

Only safetensors, one file or several with an index. What belongs to a block is told by the name, which holds
the block list's last word and the block's number (`model.layers.3.`, `h.3.`), whatever prefix a checkpoint
has or lacks. Renaming, merging (the experts of a mixture stand apart in the files and together in the model)
and casting are left to transformers' own loader, which is given the tensors of one block at a time; it is an
internal of that library, so it is called here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.errors import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Checkpoint:
    """The weight files of a directory.

    Args:
        directory: what `from_pretrained` is given.
        name: what a person calls the model.

    Raises:
        ModelError: there are no safetensors, or a file is damaged.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.files: dict[str, Path] = {}
        for path in _files(directory, name):
            with self._opened(path) as file:
                self.files |= dict.fromkeys(file.keys(), path)

    def of_block(self, listed: str, index: int) -> list[str]:
        """Names of the tensors of a block; `listed` is the path of the block list."""
        return [name for name in self.files if self._block(listed, name) == index]

    def outside(self, listed: str) -> list[str]:
        """Names of the tensors that belong to no block."""
        return [name for name in self.files if self._block(listed, name) is None]

    @staticmethod
    def _block(listed: str, name: str) -> int | None:
        found = re.search(rf"(?:^|\.){re.escape(listed.rpartition('.')[2])}\.(\d+)\.", name)
        return int(found[1]) if found else None

    def fill(
        self, module: nn.Module, names: Collection[str], dtype: torch.dtype, device: torch.device
    ) -> None:
        """Read tensors and put them into a model where they belong, in this dtype and on this device.

        Raises:
            ModelError: a file is damaged, or a tensor has another shape than the model.
        """
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        model: Any = module
        settings = LoadStateDictConfig(
            dtype=dtype,
            device_map={"": device},
            weight_mapping=get_model_conversion_mapping(model),  # type: ignore[arg-type]
        )
        with ExitStack() as stack:
            opened = {
                path: stack.enter_context(self._opened(path)) for path in {self.files[name] for name in names}
            }
            tensors = {name: opened[self.files[name]].get_slice(name) for name in names}
            try:
                found, _ = convert_and_load_state_dict_in_model(model, tensors, settings)
            except (SafetensorError, OSError) as error:
                raise self._damaged(error) from error
        if wrong := [*getattr(found, "mismatched_keys", ()), *getattr(found, "conversion_errors", ())]:
            raise ModelError(
                f"The weights of {self.name} do not fit its configuration: {wrong[0]}. The files are damaged or mixed up.",
                kind="damaged",
            )

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            file = safe_open(path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise self._damaged(error, path) from error
        with file:
            yield file

    def _damaged(self, error: Exception, path: Path | None = None) -> ModelError:
        where = f"The file {path.name} of {self.name}" if path else f"A file of {self.name}"
        return ModelError(
            f"{where} is damaged ({' '.join(str(error).split())[:120]}). Fetch or save the model anew.",
            kind="damaged",
        )


def _files(directory: Path, name: str) -> list[Path]:
    """The weight files that transformers would read."""
    index = directory / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, LookupError, AttributeError) as error:
            raise ModelError(
                f"The file {INDEX} of {name} is damaged. Fetch or save the model anew.", kind="damaged"
            ) from error
    else:
        names = [SINGLE] if (directory / SINGLE).is_file() else []
    if not names:
        pickled = (
            "only pickled weights, which can hold code and are never read here"
            if any(directory.glob("*.bin"))
            else "no weights"
        )
        raise ModelError(f"The model {name} has {pickled}; safetensors are needed.", kind="no-safetensors")
    if absent := [one for one in names if not (directory / one).is_file()]:
        raise ModelError(
            f"The file {absent[0]} of {name} is missing. Fetch or save the model anew.", kind="damaged"
        )
    return [directory / one for one in names]
