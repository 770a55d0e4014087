"""The weight files of a model directory: which tensors they contain, and reading some of them into a model.

Only safetensors are read, one file or several with an index. Which block a tensor belongs to is taken from
its name, which contains the last part of the block list's path and the block's number (`model.layers.3.`,
`h.3.`), with or without a prefix. Renaming, merging (the experts of a mixture are separate in the files and
fused in the model) and casting are done by transformers' own loader, which is given the tensors of one block
at a time. That loader is internal to the library, so it is called here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.errors import ModelError
from engine.hub.cache import INDEX, SINGLE, has_pickles, indexed_files
from engine.hub.failures import first_words, no_safetensors

RELOAD = "Download or save the model again."


class Checkpoint:
    """The weight files of a directory.

    Args:
        directory: as for `from_pretrained`.
        name: what error messages call the model.

    Raises:
        ModelError: there are no safetensors, or a file is missing or damaged.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.files: dict[str, Path] = {}  # by the name of the tensor
        for path in _weight_files(directory, name):
            with self._opened(path) as file:
                self.files |= dict.fromkeys(file.keys(), path)

    def of_block(self, block_list: str, index: int) -> list[str]:
        """Return the names of the tensors of a block; `block_list` is the path of the list of blocks."""
        return [name for name in self.files if _block_of(block_list, name) == index]

    def outside(self, block_list: str) -> list[str]:
        """Return the names of the tensors that belong to no block."""
        return [name for name in self.files if _block_of(block_list, name) is None]

    def fill(
        self, module: nn.Module, names: Collection[str], dtype: torch.dtype, device: torch.device
    ) -> None:
        """Read tensors into their parameters of `module`, converted to this dtype and device.

        Raises:
            ModelError: a file is damaged, or a tensor does not have the shape of its parameter.
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
            files = {
                path: stack.enter_context(self._opened(path)) for path in {self.files[name] for name in names}
            }
            # slices are read only when the loader indexes them
            tensors = {name: files[self.files[name]].get_slice(name) for name in names}
            try:
                info, _ = convert_and_load_state_dict_in_model(model, tensors, settings)
            except (SafetensorError, OSError) as error:
                raise self._damaged(error) from error
        if wrong := [*getattr(info, "mismatched_keys", ()), *getattr(info, "conversion_errors", ())]:
            raise ModelError(
                f"The weights of {self.name} do not fit its configuration: {wrong[0]}. The files are damaged "
                f"or from different models. {RELOAD}",
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
        file = f"The file {path.name} of {self.name}" if path else f"A file of {self.name}"
        return ModelError(f"{file} is damaged ({first_words(error, 120)}). {RELOAD}", kind="damaged")


def _block_of(block_list: str, name: str) -> int | None:
    match = re.search(rf"(?:^|\.){re.escape(block_list.rpartition('.')[2])}\.(\d+)\.", name)
    return int(match[1]) if match else None


def _weight_files(directory: Path, name: str) -> list[Path]:
    """Return the weight files that transformers would read."""
    index = directory / INDEX
    try:
        names = indexed_files(index) if index.is_file() else [SINGLE]
    except ValueError as error:
        raise ModelError(f"The file {INDEX} of {name} is damaged. {RELOAD}", kind="damaged") from error
    missing = [file for file in names if not (directory / file).is_file()]
    if missing and not index.is_file():
        pickles = has_pickles(path.name for path in directory.iterdir())
        raise no_safetensors(name, pickles=pickles, local=True)
    if missing or not names:
        file = missing[0] if missing else SINGLE
        raise ModelError(f"The file {file} of {name} is missing. {RELOAD}", kind="damaged")
    return [directory / file for file in names]
