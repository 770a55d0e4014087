"""Loading a model from a directory on this machine, whole or one block at a time.

Only safetensors are read and no remote code is run. Files and class have to fit each other exactly: missing
weights are never initialised at random, and no weight is ignored (`engine.models.checkpoint`). So a model is
the same whole, block by block, and as plain `from_pretrained` reads it.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import ModelError
from engine.hardware.memory import release_large_allocations
from engine.hardware.memory_plan import Residence
from engine.hub.failures import first_words, to_model_error
from engine.models.checkpoint import RELOAD, Checkpoint
from engine.models.inspection import inspect
from engine.models.language_model import LanguageModel
from engine.models.library_warnings import collected, silence
from engine.models.streaming import BUILDING, without_weights
from engine.models.suitability import require_suitable
from engine.models.tokenizer import read_tokenizer


def read_config(directory: Path, name: str = "") -> Any:
    """Return the configuration in a local directory; `name` is what error messages call the model.

    Raises:
        ModelError: there is none, transformers cannot read it, or the directory holds something else than a
            full-precision model.
    """
    silence()  # problems become a ModelError or a note instead
    inspect(directory, name or str(directory))
    try:
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    except Exception as error:  # transformers raises many types here
        raise to_model_error(name or str(directory), None, error, action="read") from error
    without_foreign_choices(config)
    return config


def without_foreign_choices(config: Any) -> None:
    """Drop what a configuration says about the machine or the batches of its training.

    None of it changes what the model computes here, but all of it can keep transformers from building it:
    kernels that this machine does not have, a padding token without an embedding, which no window contains,
    and an empty entry about quantisation.
    """
    if not getattr(config, "quantization_config", True):
        del config.quantization_config
    parts = [config, *(part for key in config.sub_configs if (part := getattr(config, key, None)))]
    for choice in ("_attn_implementation", "_experts_implementation"):
        if any(getattr(part, choice, None) not in (None, "eager") for part in parts):
            setattr(
                config, choice, None
            )  # of all parts; transformers then chooses what it has for this class
    for part in parts:
        padding, vocabulary = getattr(part, "pad_token_id", None), getattr(part, "vocab_size", None)
        if isinstance(padding, int) and isinstance(vocabulary, int) and padding >= vocabulary:
            part.pad_token_id = None


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
        ModelError: it is incomplete or holds weights that its class does not use, is not a causal language
            model, or cannot be pruned block by block.
    """
    name = name or str(directory)
    with collected() as warnings:
        config = read_config(directory, name)
        checkpoint = Checkpoint(directory, name)  # also checks that all files are present and readable
        skeleton = build_skeleton(config, name)
        with BUILDING:  # it ties weights, which transformers switches off while it builds a model
            checkpoint.check(skeleton)
        tokenizer, fault = read_tokenizer(directory)
    release_large_allocations()
    build = _build_resident if residence == "resident" else _build_empty
    module = build(directory, config, dtype, name)
    try:
        if residence == "resident":
            model = LanguageModel(module.to(device), tokenizer, tokenizer_fault=fault)
        else:
            model = LanguageModel(
                module, tokenizer, checkpoint, tokenizer_fault=fault, dtype=dtype, device=device
            )
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
    require_suitable(model, name)
    model.left_out = checkpoint.left_out
    model.warnings = warnings
    return model


def build_skeleton(config: Any, name: str) -> nn.Module:
    """Return the model on the meta device: neither its weights nor its buffers have data.

    Raises:
        ModelError: it is not a causal language model, or transformers cannot build it.
    """
    try:
        with BUILDING, torch.device("meta"):
            # A copy: building settles the dtype and the attention's implementation in it.
            module: nn.Module = AutoModelForCausalLM.from_config(deepcopy(config), trust_remote_code=False)
    except Exception as error:
        raise _cannot_build(name, config, error) from error
    return module


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


def _build_empty(directory: Path, config: Any, dtype: torch.dtype, name: str) -> nn.Module:
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
        return ModelError(f"The model {name} (type {kind}) {_instead_of_causal(config)}", kind="not-causal")
    return ModelError(f"The model {name} cannot be read ({first_words(error, 300)}).", kind="damaged")


def _instead_of_causal(config: Any) -> str:
    """Return what a model is that has no causal class in transformers, and what to do."""
    if config.is_encoder_decoder:
        return (
            "is an encoder-decoder model, not a causal language model, so it cannot be pruned here. Choose a "
            "model that only has a decoder."
        )
    if config.get_text_config(decoder=True) is not config:
        return (
            "combines a language model with other parts, such as a vision tower, and transformers has no "
            "causal language model for it. Choose a text-only model, such as the one that it was made from."
        )
    return "is not a causal language model, so it cannot be pruned here."


def stored_dtype(config: Any) -> torch.dtype | None:
    """Return the dtype in which the weights are stored, according to the configuration; None if it is not
    given.
    """
    dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else None
