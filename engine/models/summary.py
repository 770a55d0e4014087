"""Reading a model's shape from its configuration alone: a skeleton on the meta device, no weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from engine.errors import ModelError
from engine.models.clock import Clock
from engine.models.device import pick_device
from engine.models.discovery import find_blocks
from engine.models.facts import ModelSummary
from engine.models.language_model import LanguageModel
from engine.models.loading import BUILDING, load_config, stored_dtype
from engine.models.names import resolve

PROBE = 768
TOKEN_LIMITS = ("max_position_embeddings", "n_positions", "max_sequence_length")


def summarise(model: str, revision: str | None = None) -> ModelSummary:
    """The summary of a model that has not been loaded.

    Raises:
        ModelError: there is no such model, or it is not a causal language model with blocks of linears.
    """
    config = load_config(model, revision)
    try:
        with BUILDING, torch.device("meta"):
            skeleton = LanguageModel(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
    except (LookupError, ValueError) as error:
        kind = getattr(config, "model_type", "unknown")
        raise ModelError(f"The model {model} (type {kind}) is not a causal language model made of blocks, so it cannot be pruned here.") from error
    stored, device = stored_dtype(config) or torch.float32, pick_device()
    sizes = tuple(sum(linear.weight.numel() for linear in block.linears.values()) for block in skeleton.blocks)
    skipped = skipped_weights(skeleton.module)
    parameters = sum(sizes) + sum(skipped.values())
    return ModelSummary(
        name=model,
        architecture=type(skeleton.module).__name__,
        parameters=parameters,
        prunable=sum(sizes),
        skipped=skipped,
        blocks=len(skeleton.blocks),
        sizes=sizes,
        shapes={path: linear.shape for path, linear in skeleton.linears.items()},
        longest=longest(config),
        bytes=parameters * stored.itemsize,
        local=Path(resolve(model)).is_dir(),
        device=device.type,
        speed=_speed(device),
    )


def _speed(device: torch.device) -> float:
    """Operations a second of a float32 matrix product, the best of a few: what a prediction of the time starts from."""
    matrix = torch.rand(PROBE, PROBE, device=device)
    clock, best = Clock(device), float("inf")
    for _ in range(4):
        start = clock.now()
        matrix @ matrix
        best = min(best, clock.now() - start)
    return 2 * PROBE**3 / best


def longest(config: object) -> int | None:
    """The most tokens that a model of this configuration takes, None where it does not say (rotary models may still take more)."""
    text = config.get_text_config()  # type: ignore[attr-defined]
    return next((int(value) for name in TOKEN_LIMITS if isinstance(value := getattr(text, name, None), int)), None)


def skipped_weights(module: nn.Module) -> dict[str, int]:
    """The weights that are never pruned, by kind; a tied weight counts once."""
    prunable = {id(linear.module.weight) for block in find_blocks(module) for linear in block.linears.values()}
    embeddings = {id(child.weight) for child in module.modules() if isinstance(child, nn.Embedding)}
    counts: Counter[str] = Counter()
    for name, parameter in module.named_parameters():
        if id(parameter) in embeddings:
            counts["embeddings"] += parameter.numel()
        elif id(parameter) not in prunable:
            counts[_kind(name, parameter)] += parameter.numel()
    return dict(counts)


def _kind(name: str, parameter: nn.Parameter) -> str:
    if parameter.ndim == 1:
        return "norms and biases"
    return "head" if "head" in name or name.startswith("embed_out") else "other"
