"""A model's shape, computed from its configuration and a skeleton on the meta device, and where its files
are.

No weights are read. The skeleton of a 7-billion model takes 0.02 s, that of 48 blocks with 128 experts each
0.2 s; the first one in a process takes 0.6 s more, and the first measurement of the speed 0.1 s. What follows
from a configuration alone is computed once per process. For a model that is not on this machine the hub is
queried, for its configuration and its list of files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.errors import ModelError
from engine.hardware.device import SMALL, SMALL_THREADS, available_threads, pick_device, pick_dtype
from engine.hardware.speed import Speed, speed_of
from engine.hub import cache as hub_cache
from engine.hub import planning
from engine.hub.catalogue import catalogue
from engine.models.biases import possible_biases
from engine.models.block import Block, Linear
from engine.models.checkpoint import Checkpoint
from engine.models.discovery import find_blocks, skipped_kind
from engine.models.gguf import unpacked
from engine.models.gguf.configuration import read_gguf_config
from engine.models.gguf.header import read_header
from engine.models.gguf.types import source_of
from engine.models.gguf.unpacking import require_all, unpacked_bytes, unpacking_memory, weight_source
from engine.models.identity import DEMO, local_source
from engine.models.loading import build_skeleton, read_config, stored_dtype
from engine.models.shape import LinearKind, ModelSummary, Place, Storage

UNCERTAIN = ("offline", "server", "other")
"""Kinds of errors after which a download may still succeed later; after any other kind it never will."""
CONTEXT_LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_target_positions",
    "max_seq_len",
)
"""What configurations call the number of tokens that a model takes."""
ACTIVE_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "experts_per_token")
"""What configurations call the number of experts that process each token."""
READ_FILES = ("*.safetensors", "*.json", "*.model", "*.txt")


def summarise(model: str, revision: str | None = None, *, measure_speed: bool = True) -> ModelSummary:
    """Return the summary of a model without loading it.

    Args:
        measure_speed: whether to fill `speeds` and `bandwidths`, which only the estimate of a run's duration
            needs.

    Raises:
        ModelError: there is no such model, or it is not a causal language model with blocks of linears.
    """
    source = local_source(model, revision)
    if source is not None and source.is_file():
        config = read_gguf_config(source, model)
    else:
        config = read_config(source or planning.config_directory(model, revision), model)
    if source is not None and source.is_file():
        require_all(build_skeleton(config, model), read_header(source), model)
    shape = _shape(_Configuration(config.to_json_string(use_diff=False), config, model))
    stored = stored_dtype(config) or torch.float32
    device = pick_device().type
    # `devices` of the summary: the CPU as well, once if it is the default
    speeds = _speeds(device, stored, shape["linears"]) if measure_speed else {}
    return ModelSummary(
        **shape,
        name=model,
        dtype=str(stored).removeprefix("torch."),
        bytes=shape["parameters"] * stored.itemsize,
        storage=_storage(model, revision, source),
        device=device,
        speeds={name: speed.operations for name, speed in speeds.items()},
        bandwidths={name: speed.bandwidth for name, speed in speeds.items()},
    )


@dataclass(frozen=True)
class _Configuration:
    """A configuration by its text: equal texts build models of equal shapes.

    Attributes:
        name: what error messages call the model.
    """

    text: str
    config: Any = field(compare=False)
    name: str = field(compare=False)


@lru_cache(64)  # each run asks for it, and sweeps are many runs of a model
def _shape(configuration: _Configuration) -> Mapping[str, Any]:
    """Return the fields of a summary that follow from the configuration alone.

    Raises:
        ModelError: it is not a causal language model, or has no blocks with linears.
    """
    config = configuration.config
    skeleton, blocks = _skeleton(configuration.name, config)
    sizes = tuple(sum(linear.weight.numel() for linear in block.linears.values()) for block in blocks)
    skipped = skipped_weights(skeleton)
    text = config.get_text_config()
    return {
        "architecture": type(skeleton).__name__,
        "parameters": sum(sizes) + sum(skipped.values()),
        "prunable": sum(sizes),
        "skipped": skipped,
        "blocks": len(blocks),
        "sizes": sizes,
        "linears": _kinds(blocks, _first_int(text, ACTIVE_EXPERTS)),
        "largest_block": max(
            sum(parameter.numel() for parameter in block.module.parameters()) for block in blocks
        ),
        "largest_grams": max(
            sum(linear.shape[1] ** 2 for linear in block.linears.values()) for block in blocks
        ),
        "outside": _outside(skeleton, blocks),
        # not every configuration has `hidden_size`; the embedding is `[vocabulary, width]`
        "width": int(
            getattr(text, "hidden_size", None) or skeleton.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        ),
        "vocabulary": int(text.vocab_size),
        "context_length": context_length(config),
        "has_biases": bool(possible_biases(config, configuration.name, skeleton).of(blocks)),
    }


def _skeleton(model: str, config: Any) -> tuple[nn.Module, list[Block]]:
    """Return the model without its weights, and its blocks.

    Raises:
        ModelError: it is not a causal language model, or has no blocks with linears.
    """
    kind = getattr(config, "model_type", "unknown")
    skeleton = build_skeleton(config, model)
    try:
        blocks = find_blocks(skeleton)
    except LookupError as error:
        raise ModelError(
            f"The model {model} (type {kind}) is not a causal language model made of blocks, so it cannot be "
            "pruned here.",
            kind="not-causal",
        ) from error
    if not any(block.linears for block in blocks):
        raise ModelError(
            f"The blocks of {model} (type {kind}) have no linear layers, so there is nothing to prune.",
            kind="not-causal",
        )
    return skeleton, blocks


def _kinds(blocks: Sequence[Block], active: int | None) -> tuple[LinearKind, ...]:
    """Return the linears grouped by kind: equal shapes, and paths that differ only in numbers.

    Each of E experts processes `active / E` of the tokens, or all of them if `active` is not known.
    """
    alike: dict[tuple[str, int, int], list[Linear]] = {}
    for linear in (linear for block in blocks for linear in block.linears.values()):
        # `model.layers.*.mlp.experts.*.gate_up_proj`: digits of blocks and experts alike
        alike.setdefault((re.sub(r"\d+", "*", linear.path), *linear.shape), []).append(linear)
    kinds = []
    for (_, rows, columns), linears in alike.items():
        first = linears[0]
        is_routed = first.expert is not None and active is not None
        # stored: `[experts, out, in]`
        share = min(1.0, active / len(first.stored)) if is_routed else 1.0  # type: ignore[operator]
        kinds.append(LinearKind(path=first.path, rows=rows, columns=columns, count=len(linears), share=share))
    return tuple(kinds)


def _first_int(config: Any, names: Sequence[str]) -> int | None:
    values = (getattr(config, name, None) for name in names)
    # XLNet and others say -1 for no limit
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _outside(module: nn.Module, blocks: Iterable[Block]) -> int:
    inside = {id(parameter) for block in blocks for parameter in block.module.parameters()}
    return sum(parameter.numel() for parameter in module.parameters() if id(parameter) not in inside)


def _storage(model: str, revision: str | None, source: Path | None) -> Storage:
    """Return where the files are and their size. What the hub does not answer is left open, with its error.

    Raises:
        ModelError: a local directory has no safetensors with weights, or the hub's answer is final.
    """
    if source is not None and source.is_file():
        return _gguf_storage(source)
    if source is not None:
        Checkpoint(source, model)  # its headers
        place: Place = "bundled" if model == DEMO else "directory"
        return Storage(place=place, total=_bytes(source), source=weight_source(source))
    licence, gated = next(
        ((entry.licence, entry.gated) for entry in catalogue() if entry.id == model), (None, False)
    )
    if (cached := hub_cache.snapshot(model, revision)) is not None:
        # a snapshot's directory is named after its commit
        return Storage(place="cache", total=_bytes(cached), licence=licence, gated=gated, commit=cached.name)
    try:
        plan = planning.plan_download(model, revision)
    except ModelError as error:
        if error.kind not in UNCERTAIN:
            raise
        return Storage(place="hub", missing=None, licence=licence, gated=gated, note=str(error))
    return Storage(
        place="hub",
        total=plan.total_bytes,
        missing=plan.missing_bytes,
        licence=plan.licence,
        gated=plan.gated,
        commit=plan.commit,
    )


def _gguf_storage(file: Path) -> Storage:
    header = read_header(file)
    storage = Storage(place="directory", total=header.size, source=source_of(header, file))
    if unpacked.find(unpacked.content(file)) is not None:
        return storage
    first = {"unpacking": unpacked_bytes(header), "unpacking_memory": unpacking_memory(header)}
    return storage.model_copy(update=first)


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for pattern in READ_FILES for path in directory.glob(pattern))


def _speeds(device: str, stored: torch.dtype, linears: Sequence[LinearKind]) -> dict[str, Speed]:
    """Return the speeds of the default device and of the CPU, as a run of this model would have them."""
    largest = max(kind.rows * kind.columns for kind in linears)
    most = SMALL_THREADS if largest <= SMALL else available_threads()
    return {
        name: speed_of(name, pick_dtype("auto", torch.device(name), stored), most)
        for name in dict.fromkeys([device, "cpu"])
    }


def context_length(config: object) -> int | None:
    """Return the most tokens that a model takes, None if its configuration does not say.

    Models with rotary embeddings may accept more.
    """
    return _first_int(config.get_text_config(), CONTEXT_LENGTHS)  # type: ignore[attr-defined]


def skipped_weights(module: nn.Module) -> dict[str, int]:
    """Return the number of weights that are never pruned, by kind; a tied weight counts once."""
    kinds = skipped_kind(module)
    counts: Counter[str] = Counter()
    for parameter in module.parameters():
        if kind := kinds.get(id(parameter)):
            counts[kind] += parameter.numel()
    return dict(counts)
