"""Loading a model from a directory on this machine. Only safetensors, never remote code; what is not complete
is refused, never made up.
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
from engine.hub.failures import to_model_error
from engine.models.checkpoint import Checkpoint
from engine.models.language_model import LanguageModel
from engine.models.streaming import Residence, without_weights

BUILDING = threading.Lock()
"""transformers changes settings of the whole process while it builds a model, so two threads must not build
at the same time.
"""

FIRST_WORDS = 300  # characters of a library's message that are shown


def read_config(directory: Path, name: str = "") -> Any:
    """The configuration in a local directory.

    Raises:
        ModelError: there is none, or it is not one that this tool can read.
    """
    _quiet()
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"The directory {directory} holds no config.json, so there is no model in it that can be read.",
            kind="missing",
        )
    try:
        return AutoConfig.from_pretrained(directory, trust_remote_code=False)
    except (
        Exception
    ) as error:  # the library raises many kinds; each means that there is no usable configuration
        raise to_model_error(name or str(directory), None, error) from error


def load(
    directory: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    residence: Residence = "resident",
    name: str = "",
) -> LanguageModel:
    """The model of a local directory in evaluation mode on `device`, with its tokenizer where it has one.

    Args:
        directory: config.json and safetensors.
        residence: whether the blocks are read now, or each when it is present.
        name: what a person calls the model; the directory where left out.

    Raises:
        ModelError: it cannot be read as a whole, is not a causal language model, or has no list of blocks
            with linears.
    """
    name = name or str(directory)
    config = read_config(directory, name)
    checkpoint = Checkpoint(directory, name)
    module = (
        _resident(directory, config, dtype, name) if residence == "resident" else _empty(config, dtype, name)
    )
    try:
        if residence == "resident":
            found = LanguageModel(module.to(device), _tokenizer(directory))
        else:
            found = LanguageModel(module, _tokenizer(directory), checkpoint, dtype=dtype, device=device)
    except LookupError as error:
        raise ModelError(
            f"The model {name} ({type(module).__name__}) has no list of blocks, so it cannot be pruned block by block."
        ) from error
    if not found.linears:
        raise ModelError(
            f"The blocks of {name} ({type(module).__name__}) hold no linear layers, so there is nothing to prune."
        )
    return found


def _resident(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
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
        raise _unreadable(name, config, error) from error
    module, found = loaded
    if wrong := [
        *found["missing_keys"],
        *found["mismatched_keys"],
    ]:  # transformers fills such weights with random numbers
        raise ModelError(
            f"The files of {name} do not hold {sorted(map(str, wrong))[0]} as its configuration says, so they are not complete. "
            "Fetch or save the model anew.",
            kind="damaged",
        )
    result: nn.Module = module
    return result


def _empty(config: Any, dtype: torch.dtype, name: str) -> nn.Module:
    try:
        with BUILDING, without_weights():
            module: nn.Module = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except Exception as error:
        raise _unreadable(name, config, error) from error
    return module


def stored_dtype(config: Any) -> torch.dtype | None:
    """The dtype that the configuration says the weights are stored in."""
    dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else None


def _tokenizer(directory: Path) -> Any:
    """The tokenizer, None where there is none: token ids can still be given."""
    try:
        return AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except Exception:
        return None


def _unreadable(name: str, config: Any, error: Exception) -> ModelError:
    """The sentence for a model that transformers does not build."""
    if "Unrecognized configuration class" in str(error):
        kind = getattr(config, "model_type", "unknown")
        return ModelError(
            f"The model {name} (type {kind}) is no causal language model, so there is nothing to prune here.",
            kind="not-causal",
        )
    return ModelError(f"The model {name} cannot be read: {_first_words(error)}", kind="damaged")


def _first_words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= FIRST_WORDS else f"{text[:FIRST_WORDS].rsplit(' ', 1)[0]} ..."
    return short if short.endswith(".") else f"{short}."


def _quiet() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
