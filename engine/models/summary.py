"""A model's shape from its configuration alone, a skeleton on the meta device, and where its files are. No
weights are read.

The skeleton of a 7-billion model takes 0.02 s, that of 48 blocks of 128 experts 0.2 s; the first one in a
process 0.6 s more, and the first measurement of the speed 0.1 s. What a model needs that is not on this
machine yet is asked of the hub (its configuration and its list of files).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import ModelError
from engine.hardware.device import Clock, pick_device
from engine.models.block import Block, Linear
from engine.models.discovery import find_blocks, skipped_kind
from engine.models.identity import DEMO, resolve
from engine.models.loading import BUILDING, stored_dtype
from engine.models.shape import LinearKind, ModelSummary, Place, Storage

UNCERTAIN = ("offline", "server", "other")
"""Kinds of errors that leave it open what a download would be; after any other there will be none."""
PROBE = 768
TOKEN_LIMITS = ("max_position_embeddings", "n_positions", "max_sequence_length")
ACTIVE_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "experts_per_token")
"""What configurations call the number of experts that see a token."""
READ_FILES = ("*.safetensors", "*.json", "*.model", "*.txt")


def summarise(model: str, revision: str | None = None) -> ModelSummary:
    """The summary of a model that has not been loaded.

    Raises:
        ModelError: there is no such model, or it is not a causal language model with blocks of linears.
    """
    config = _config(model, revision)
    skeleton, blocks = _skeleton(model, config)
    sizes = tuple(sum(linear.weight.numel() for linear in block.linears.values()) for block in blocks)
    skipped = skipped_weights(skeleton)
    parameters = sum(sizes) + sum(skipped.values())
    stored = stored_dtype(config) or torch.float32
    text = config.get_text_config()
    return ModelSummary(
        name=model,
        architecture=type(skeleton).__name__,
        parameters=parameters,
        prunable=sum(sizes),
        skipped=skipped,
        blocks=len(blocks),
        sizes=sizes,
        linears=_kinds(blocks, _active_experts(text)),
        block_most=max(sum(parameter.numel() for parameter in block.module.parameters()) for block in blocks),
        block_grams=max(sum(linear.shape[1] ** 2 for linear in block.linears.values()) for block in blocks),
        outside=_outside(skeleton, blocks),
        width=int(getattr(text, "hidden_size", None) or skeleton.get_input_embeddings().weight.shape[1]),  # type: ignore[operator]
        vocabulary=int(text.vocab_size),
        longest=longest(config),
        dtype=str(stored).removeprefix("torch."),
        bytes=parameters * stored.itemsize,
        storage=_storage(model, revision),
        device=pick_device().type,
        speeds={device: _speed(device) for device in dict.fromkeys([pick_device().type, "cpu"])},
    )


def _config(model: str, revision: str | None) -> Any:
    """The configuration, from a directory that holds it or from the hub.

    Raises:
        ModelError: there is none.
    """
    directory = _local(model)
    if directory is None:
        from engine.hub.planning import config_directory

        directory = config_directory(model, revision)
    elif not (directory / "config.json").is_file():
        raise ModelError(
            f"The directory {directory} holds no config.json, so there is no model in it that can be read. Choose the directory that "
            "`save_pretrained` wrote, with config.json and safetensors."
        )
    try:
        return AutoConfig.from_pretrained(directory, trust_remote_code=False)
    except (
        Exception
    ) as error:  # the library raises many kinds; each means that there is no usable configuration
        from engine.hub.failures import to_model_error

        raise to_model_error(model, revision, error) from error


def _local(model: str) -> Path | None:
    """The directory on this machine that the name stands for, None for a hub id.

    Raises:
        ModelError: it is written like a path, and there is no such directory.
    """
    place = Path(resolve(model))
    if place.is_dir():
        return place
    if model.startswith(("/", ".", "~")):
        raise ModelError(
            f"The model {model} was asked for, but there is no such directory. Check the path.",
            kind="missing",
        )
    return None


def _skeleton(model: str, config: Any) -> tuple[nn.Module, list[Block]]:
    """The model without its weights, and its blocks.

    Raises:
        ModelError: it is not a causal language model, or has no blocks with linears.
    """
    kind = getattr(config, "model_type", "unknown")
    try:
        with BUILDING, torch.device("meta"):
            skeleton: nn.Module = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        blocks = find_blocks(skeleton)
    except (LookupError, ValueError) as error:
        sentence = f"The model {model} (type {kind}) is not a causal language model made of blocks, so it cannot be pruned here."
        raise ModelError(sentence, kind="not-causal") from error
    if not any(block.linears for block in blocks):
        raise ModelError(
            f"The blocks of {model} (type {kind}) hold no linear layers, so there is nothing to prune.",
            kind="not-causal",
        )
    return skeleton, blocks


def _kinds(blocks: Sequence[Block], active: int | None) -> tuple[LinearKind, ...]:
    """The linears, alike ones once; each of E experts sees `active / E` of the tokens, all of them where that
    is not known.
    """
    found: dict[tuple[str, int, int], list[Linear]] = {}
    for linear in (linear for block in blocks for linear in block.linears.values()):
        found.setdefault((re.sub(r"\d+", "*", linear.path), *linear.shape), []).append(linear)
    return tuple(
        LinearKind(
            path=alike[0].path, rows=rows, columns=columns, count=len(alike), share=_share(alike[0], active)
        )
        for (_, rows, columns), alike in found.items()
    )


def _share(linear: Linear, active: int | None) -> float:
    return 1.0 if linear.expert is None or active is None else min(1.0, active / len(linear.stored))


def _active_experts(config: Any) -> int | None:
    return next(
        (int(value) for name in ACTIVE_EXPERTS if isinstance(value := getattr(config, name, None), int)), None
    )


def _outside(module: nn.Module, blocks: Iterable[Block]) -> int:
    inside = {id(parameter) for block in blocks for parameter in block.module.parameters()}
    return sum(parameter.numel() for parameter in module.parameters() if id(parameter) not in inside)


def _storage(model: str, revision: str | None) -> Storage:
    """Where the files are and how large; what the hub does not say is left open, with its sentence.

    Raises:
        ModelError: a local directory holds no safetensors.
    """
    if (directory := _local(model)) is not None:
        place: Place = "bundled" if model == DEMO else "directory"
        return Storage(place=place, total=_require_safetensors(directory))
    from engine.hub.cache import snapshot
    from engine.hub.planning import listing

    if (directory := snapshot(model, revision)) is not None:
        licence, gated = _catalogued(model)
        return Storage(
            place="cache", total=_bytes(directory), licence=licence, gated=gated, commit=directory.name
        )
    try:
        files = listing(model, revision)
    except ModelError as error:
        if error.kind not in UNCERTAIN:
            raise
        licence, gated = _catalogued(model)
        return Storage(place="hub", missing=None, licence=licence, gated=gated, note=str(error))
    return Storage(
        place="hub",
        total=files.total_bytes,
        missing=files.missing_bytes,
        licence=files.licence,
        gated=files.gated,
        commit=files.commit,
    )


def _require_safetensors(directory: Path) -> int:
    """Bytes of the files that a run reads.

    Raises:
        ModelError: there are no weights in a format that is read here.
    """
    if not any(directory.glob("*.safetensors")):
        pickled = " (only pickled ones, which are never read here)" if any(directory.glob("*.bin")) else ""
        raise ModelError(
            f"The directory {directory} holds no safetensors{pickled}, so there are no weights to prune. Save the model with `save_pretrained`.",
            kind="no-safetensors",
        )
    return _bytes(directory)


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for pattern in READ_FILES for path in directory.glob(pattern))


def _catalogued(model: str) -> tuple[str | None, bool]:
    """Licence and gating as the catalogue has them."""
    from engine.hub.catalogue import catalogue

    return next(((entry.licence, entry.gated) for entry in catalogue() if entry.id == model), (None, False))


@cache
def _speed(device: str) -> float:
    """Operations a second of a float32 matrix product, the best of a few: what a prediction of the time
    starts from.
    """
    place = torch.device(device)
    matrix = torch.rand(PROBE, PROBE, device=place)
    clock, best = Clock(place), float("inf")
    for _ in range(4):
        start = clock.now()
        matrix @ matrix
        best = min(best, clock.now() - start)
    return 2 * PROBE**3 / best


def longest(config: object) -> int | None:
    """The most tokens that a model of this configuration takes, None where it does not say (rotary models may
    still take more).
    """
    text = config.get_text_config()  # type: ignore[attr-defined]
    return next(
        (int(value) for name in TOKEN_LIMITS if isinstance(value := getattr(text, name, None), int)), None
    )


def skipped_weights(module: nn.Module) -> dict[str, int]:
    """The weights that are never pruned, by kind; a tied weight counts once."""
    kinds = skipped_kind(module)
    counts: Counter[str] = Counter()
    for parameter in module.parameters():
        if kind := kinds.get(id(parameter)):
            counts[kind] += parameter.numel()
    return dict(counts)
