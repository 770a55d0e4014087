"""Loading a model from a directory on this machine.

Only safetensors are read and no remote code is run. An incomplete model is rejected; missing weights are
never initialised at random.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from engine.errors import ModelError
from engine.hardware.batching import Residence
from engine.hub.failures import first_words, to_model_error
from engine.models.checkpoint import Checkpoint
from engine.models.language_model import LanguageModel
from engine.models.streaming import without_weights

BUILDING = threading.Lock()
"""transformers changes process-wide settings while it builds a model, so only one thread may build at a time.
"""


def read_config(directory: Path, name: str = "") -> Any:
    """Return the configuration in a local directory; `name` is what error messages call the model.

    Raises:
        ModelError: there is none, or transformers cannot read it.
    """
    logging.set_verbosity_error()
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
    build = _build_resident if residence == "resident" else _build_empty
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
            "they are incomplete. Download or save the model again.",
            kind="damaged",
        )
    result: nn.Module = module
    return result


def _build_empty(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
    """Build the model without weights, for streaming."""
    try:
        with BUILDING, without_weights():
            module: nn.Module = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except Exception as error:
        raise _cannot_build(name, config, error) from error
    return module


def _cannot_build(name: str, config: Any, error: Exception) -> ModelError:
    """Return the error for a model that transformers does not build."""
    if "Unrecognized configuration class" in str(error):
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
