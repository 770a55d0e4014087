"""Finding and loading a model: the bundled one, a local directory, or a hub id. Only safetensors, never remote code."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from engine.errors import ModelError
from engine.models.language_model import LanguageModel
from engine.models.names import resolve

BUILDING = threading.Lock()
"""transformers changes settings of the whole process while it builds a model, so two threads must not build at the same time."""

FIRST_WORDS = 300  # characters of a library's message that are shown


def load_config(model: str, revision: str | None = None) -> Any:
    """The model's configuration.

    Raises:
        ModelError: there is no such model, or it is not one this tool can read.
    """
    _quiet()
    place = resolve(model)
    try:
        return AutoConfig.from_pretrained(place, revision=_hub_revision(place, revision), trust_remote_code=False)
    except Exception as error:  # the library raises many kinds; each means that there is no usable configuration
        raise ModelError(_sentence(model, place, error)) from error


def load(model: str, *, revision: str | None, dtype: torch.dtype, device: torch.device) -> LanguageModel:
    """The model in evaluation mode on `device`, with its tokenizer where it has one.

    Raises:
        ModelError: it cannot be found or read, is not a causal language model, or has no list of blocks with linears.
    """
    config, place = load_config(model, revision), resolve(model)
    hub_revision = _hub_revision(place, revision)
    try:
        with BUILDING:
            module: nn.Module = AutoModelForCausalLM.from_pretrained(
                place, config=config, revision=hub_revision, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
    except Exception as error:
        raise ModelError(_sentence(model, place, error)) from error
    try:
        found = LanguageModel(module.to(device), _tokenizer(place, hub_revision))
    except LookupError as error:
        raise ModelError(f"The model {model} ({type(module).__name__}) has no list of blocks, so it cannot be pruned block by block.") from error
    if not found.linears:
        raise ModelError(f"The blocks of {model} ({type(module).__name__}) hold no linear layers, so there is nothing to prune.")
    return found


def stored_dtype(config: Any) -> torch.dtype | None:
    """The dtype that the configuration says the weights are stored in."""
    dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else None


def _tokenizer(place: str, revision: str | None) -> Any:
    """The tokenizer, None where there is none: token ids can still be given."""
    try:
        return AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=False)
    except Exception:
        return None


def _hub_revision(place: str, revision: str | None) -> str | None:
    """A local directory's revision is its fingerprint, which the hub library must not be asked for."""
    return None if Path(place).is_dir() else revision


def _sentence(model: str, place: str, error: Exception) -> str:
    if Path(place).is_dir():
        return f"The model in {place} cannot be read: {_first_words(error)}"
    if place.startswith(("/", ".", "~")):
        return f"The model {model} was asked for, but there is no such directory. Check the path."
    return (
        f"The model {model} could not be had from the hub: {_first_words(error)} "
        "Check the name and the connection, or give a directory that holds config.json and safetensors."
    )


def _first_words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= FIRST_WORDS else f"{text[:FIRST_WORDS].rsplit(' ', 1)[0]} ..."
    return short if short.endswith(".") else f"{short}."


def _quiet() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
