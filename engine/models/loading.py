"""Loading a model from a directory on this machine, whole or one block at a time.

Only safetensors are read and no remote code is run. An incomplete model is rejected; missing weights are
never initialised at random.

A `Checkpoint` reads single tensors from the weight files. Which block a tensor belongs to is taken from its
name, which contains the last part of the block list's path and the block's number (`model.layers.3.`,
`h.3.`), with or without a prefix. Renaming, merging (the experts of a mixture are separate in the files and
fused in the model) and casting are done by transformers' own loader, which is given the tensors of one block
at a time. That loader is internal to the library, so it is called here and nowhere else.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from engine.errors import ModelError
from engine.hardware.memory import Residence
from engine.hub.cache import INDEX, SINGLE, has_pickles, indexed_files
from engine.hub.failures import first_words, no_safetensors, to_model_error
from engine.models.language_model import LanguageModel
from engine.models.parts import left_out
from engine.models.streaming import without_weights

RELOAD = "Download or save the model again."
BUILDING = threading.Lock()
"""transformers changes process-wide settings while it builds a model, so only one thread may build at a time.
"""


def read_config(directory: Path, name: str = "") -> Any:
    """Return the configuration in a local directory; `name` is what error messages call the model.

    Raises:
        ModelError: there is none, or transformers cannot read it.
    """
    logging.set_verbosity_error()  # problems become a ModelError instead
    logging.disable_progress_bar()
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"The directory {directory} holds no config.json, so it does not contain a model. Choose the "
            "directory that `save_pretrained` wrote, with config.json and safetensors.",
            kind="missing",
        )
    try:
        return AutoConfig.from_pretrained(directory, trust_remote_code=False)
    except Exception as error:  # transformers raises many types here
        raise to_model_error(name or str(directory), None, error, action="read") from error


def load(
    directory: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    residence: Residence = "resident",
    name: str = "",
) -> LanguageModel:
    """Return the model of a local directory in evaluation mode on `device`, with its tokenizer if it has one.

    Args:
        directory: holds config.json and safetensors.
        residence: whether all blocks are read now, or each one only while it is in use.
        name: what error messages call the model; by default the directory.

    Raises:
        ModelError: it is incomplete, is not a causal language model, or has no list of blocks with linears.
    """
    name = name or str(directory)
    config = read_config(directory, name)
    checkpoint = Checkpoint(directory, name)  # also checks that all files are present and readable
    build = _build_resident if residence == "resident" else build_empty
    module = build(directory, config, dtype, name)
    try:
        if residence == "resident":
            model = LanguageModel(module.to(device), _tokenizer(directory))
        else:
            model = LanguageModel(module, _tokenizer(directory), checkpoint, dtype=dtype, device=device)
    except LookupError as error:
        raise ModelError(
            f"The model {name} ({type(module).__name__}) has no list of blocks, so it cannot be pruned block "
            "by block."
        ) from error
    if not model.linears:
        raise ModelError(
            f"The blocks of {name} ({type(module).__name__}) have no linear layers, so there is nothing to "
            "prune."
        )
    model.left_out = left_out(module, checkpoint.files)
    return model


def _build_resident(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
    try:
        with BUILDING:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        raise _cannot_build(name, config, error) from error
    module, info = loaded
    # transformers initialises these weights at random instead of failing
    if wrong := [*info["missing_keys"], *info["mismatched_keys"]]:
        raise ModelError(
            f"The files of {name} do not contain {sorted(map(str, wrong))[0]} as its configuration says, so "
            f"they are incomplete. {RELOAD}",
            kind="damaged",
        )
    result: nn.Module = module
    return result


def build_empty(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
    """Build the model without weights, for streaming."""
    try:
        # The lock comes first: `without_weights` patches nn.Module for the whole process.
        with BUILDING, without_weights():
            module: nn.Module = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except Exception as error:
        raise _cannot_build(name, config, error) from error
    return module


def _cannot_build(name: str, config: Any, error: Exception) -> ModelError:
    """Return the error for a model that transformers does not build."""
    if "Unrecognized configuration class" in str(error):  # a plain ValueError with no other sign
        kind = getattr(config, "model_type", "unknown")
        return ModelError(
            f"The model {name} (type {kind}) is not a causal language model, so it cannot be pruned here.",
            kind="not-causal",
        )
    return ModelError(f"The model {name} cannot be read ({first_words(error, 300)}).", kind="damaged")


def stored_dtype(config: Any) -> torch.dtype | None:
    """Return the dtype in which the weights are stored, according to the configuration; None if it is not
    given.
    """
    dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else None


def _tokenizer(directory: Path) -> Any:
    """Return the tokenizer, None if there is none: token ids can still be used as text."""
    try:
        return AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except Exception:  # missing files and unknown classes raise many types
        return None


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
        # Internal modules: imported here, so that a release that moves them breaks nothing but streaming.
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        model: Any = module
        settings = LoadStateDictConfig(
            dtype=dtype,
            device_map={"": device},  # "" is the whole model
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
    # Leftmost match, unanchored: the prefix before the list's name may be missing in the files.
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
    if missing and not index.is_file():  # neither an index nor a single file
        pickles = has_pickles(path.name for path in directory.iterdir())
        raise no_safetensors(name, pickles=pickles, local=True)
    if missing or not names:
        file = missing[0] if missing else SINGLE
        raise ModelError(f"The file {file} of {name} is missing. {RELOAD}", kind="damaged")
    return [directory / file for file in names]
