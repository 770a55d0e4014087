"""Estimate the peak memory of a run from the model's shape and the recipe, and place the run accordingly.

At the peak a run holds: the weights; the hidden states of three streams (calibration, and evaluation dense
and pruned); and either the block that is being pruned or the logits of some tokens.

`placement` tries, in order of speed: the whole model in memory; smaller batches on an accelerator; the hidden
states on the host instead of there; the model read block by block from the disk. It takes the first that
fits, or else the last, which needs least; whether to refuse is for the caller to decide.

Bytes per weight are counted from the code; the constants were measured. On a CPU the estimates for random
models of 2 to 140 million parameters were within a fifth of the measured peaks; a model of 1.1 billion
parameters read block by block needed a third less than estimated. Not counted: the program itself
(`PROGRAM`), and memory that a method takes only because it is free (the batches of the joint update).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from math import ceil
from pathlib import Path

from engine.corpora.named import NAMED, corpus_path, holds_token_ids
from engine.hardware.device import MAX_PASSES, SMALL
from engine.hardware.memory import USED, Capacity
from engine.hardware.memory_plan import TOKENS_AT_ONCE, Residence
from engine.hardware.shared_cache import SHARE
from engine.models.shape import ModelSummary
from engine.pruning import fitness
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, UPDATES
from engine.pruning.statistics import Need
from engine.recipe import Recipe

ITEM = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per number."""
FLOAT32, TOKEN_ID = 4, 8  # bytes; token ids are int64
HOST_SLACK, DEVICE_SLACK = 110_000_000, 300_000_000
"""Bytes that the first computation allocates permanently, besides its tensors: libraries and fragmentation on
the host, the context on a device.
"""
TASK_LIBRARIES = 130_000_000
"""Bytes that lm-eval and what it imports take, on the host."""
SCRATCH, REFINING = 24, 11
"""Bytes per weight of the linear that is being pruned: the weight before and after, scores and masks (16 if
weights compete within rows, 20 to 24 otherwise); and on top of that for a refinement.
"""
SCORING = 8
"""Bytes per weight while the scores are computed, besides what the score declares: the weight and its scores.
"""
HESSIANS, FACTORING = 2, 4
"""Float32 matrices `[in, in]` per linear of the current block (the Gram matrix and its factor), and in
addition while one is factored.
"""
ACTIVATIONS_WIDTH, ACTIVATIONS_WIDEST = 6, 3
"""Activations per token in a block, counted in hidden states and in outputs of its widest linear."""
LOGITS_AT_ONCE, LOGITS_AT_ONCE_ON_GPU = 8_000_000, 32_000_000
"""Logits that `engine.evaluation.perplexity` holds at a time. A copy, since importing that module would
import the model library, and the first page would wait for it.
"""
LOGITS = 3 * FLOAT32
"""Bytes per logit: as computed, as contiguous predictions, and as logarithms."""
BYTES_PER_TOKEN = 4  # English text, roughly
TEXT_BYTES = {"wikitext2": 1_290_000, "ptb": 450_000}
"""UTF-8 bytes of the test splits of named corpora."""
SMALLER = (1, 4, 16)
"""Parts of the fastest batch that are tried on an accelerator."""


@dataclass(frozen=True)
class Footprint:
    """Bytes at the peak, beyond what the program itself takes.

    Attributes:
        host, device: totals; `device` is None if the run stays on the host.
        parts: the bytes by purpose: weights, text, block, logits, loading, search, kept.
    """

    host: int
    device: int | None
    parts: dict[str, int]


@dataclass(frozen=True)
class Text:
    """Numbers of tokens: calibration, evaluation, and per window."""

    calibration: int
    evaluation: int
    window: int


def text_of(recipe: Recipe, summary: ModelSummary) -> Text:
    """Return the tokens of a recipe. Those of files and named corpora are estimated from their sizes."""
    window = recipe.window(summary.context_length)
    given = _given_tokens(recipe.calibration)
    calibration = recipe.samples * window if given is None else given
    return Text(calibration, sum(_evaluation_tokens(name, window) for name in recipe.evaluations), window)


def _evaluation_tokens(name: str, window: int) -> int:
    limit = NAMED[name].parts["evaluation"].windows if name in NAMED else None
    if limit is not None:  # a fixed number of windows, whatever their length
        return limit * window
    given = _given_tokens(name)
    if given is not None:
        return given
    text_bytes = TEXT_BYTES.get(name, 0) or _size(corpus_path(name, "evaluation"))
    return text_bytes // BYTES_PER_TOKEN


def _given_tokens(name: str) -> int | None:
    """Return the tokens in a file of token ids; None for a text."""
    # Its header of about 128 bytes is neglected.
    return _size(Path(name).expanduser()) // TOKEN_ID if holds_token_ids(name) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def dtype_of(recipe: Recipe, summary: ModelSummary, device: str) -> str:
    """Return the dtype of the weights in memory: the requested one; if `auto`, float32 on a CPU and the dtype
    of the file on an accelerator.
    """
    if recipe.dtype != "auto":
        return recipe.dtype
    return summary.dtype if device != "cpu" and summary.dtype in ITEM else "float32"


def footprint(
    recipe: Recipe,
    summary: ModelSummary,
    device: str,
    residence: Residence,
    *,
    offload: bool = False,
    batch: int | None = None,
) -> Footprint:
    """Return the peak memory of a run on `device`.

    Args:
        residence: whether the model is in memory or read block by block.
        offload: whether hidden states wait on the host between two blocks.
        batch: tokens per batch; None for the fastest on the device.
    """
    batch = batch or TOKENS_AT_ONCE[device]
    dtype = dtype_of(recipe, summary, device)
    item, tokens = ITEM[dtype], text_of(recipe, summary)
    # Streamed, the embeddings and the head stay in memory, and one block at a time.
    held = summary.parameters if residence == "resident" else summary.outside + summary.largest_block
    parts = {
        "weights": item * held,
        "text": _text(tokens, summary, item),
        "block": _block(recipe, summary, device, item, batch),
        "logits": _logits(tokens, summary, device, batch),
        "search": _search(recipe, summary, device, item),
    }
    if device == "cpu" and residence == "resident" and dtype != summary.dtype:
        parts["loading"] = summary.bytes  # the file stays mapped while its weights are converted
    # blocks are pruned before the logits are computed, so the larger of the two counts
    working = parts["text"] + max(parts["block"] + parts["search"], parts["logits"])
    slack = HOST_SLACK + TASK_LIBRARIES * bool(recipe.tasks)
    if device != "cuda":  # mps shares the memory of the host
        # The file is unmapped before the first block is pruned, so the larger of the two counts.
        return Footprint(slack + parts["weights"] + max(working, parts.get("loading", 0)), None, parts)
    parts["kept"] = _kept(recipe, summary, item)
    on_host = slack + parts["kept"] + item * summary.largest_block + (parts["text"] if offload else 0)
    on_device = DEVICE_SLACK + parts["weights"] + working - (parts["text"] if offload else 0)
    return Footprint(on_host, on_device, parts)


def _text(tokens: Text, summary: ModelSummary, item: int) -> int:
    """Hidden states of three streams; the token ids of the two evaluation streams are shared."""
    states = tokens.calibration + 2 * tokens.evaluation
    return states * summary.width * item + (tokens.calibration + tokens.evaluation) * TOKEN_ID


def _block(recipe: Recipe, summary: ModelSummary, device: str, item: int, batch: int) -> int:
    """A block while it is pruned: its results, the current linear, the activations of a batch, and Hessians
    if the methods use them.
    """
    largest = max(kind.rows * kind.columns for kind in summary.linears)
    scratch = SCRATCH + (REFINING if REFINEMENTS[recipe.refinement].touches else 0)
    scratch += UPDATES[recipe.update].memory
    scratch = max(scratch, SCORING + recipe.scoring.scratch)  # the scores come before the masks
    work = scratch * largest + _activations(recipe, summary, item, batch)
    if device == "cpu":
        work += _kept(recipe, summary, item)
    if uses_hessian(recipe):
        # Float32 matrices `[in, in]`.
        work += FLOAT32 * (HESSIANS * summary.largest_grams + FACTORING * max(summary.widths.values()) ** 2)
    return work


def _kept(recipe: Recipe, summary: ModelSummary, item: int) -> int:
    """What is stored of the block: its new weights if the update changes them, otherwise a mask of one byte
    per weight.
    """
    return (item if UPDATES[recipe.update].touches else 1) * max(summary.sizes)


def _activations(recipe: Recipe, summary: ModelSummary, item: int, batch: int) -> int:
    tokens = max(batch, recipe.window(summary.context_length))
    widest = max(max(kind.rows, kind.columns) for kind in summary.linears)
    return tokens * (ACTIVATIONS_WIDTH * summary.width + ACTIVATIONS_WIDEST * widest) * item


def _logits(tokens: Text, summary: ModelSummary, device: str, batch: int) -> int:
    """Logits of the tokens measured at a time: a batch, at most `LOGITS_AT_ONCE`, at least one token."""
    if not tokens.evaluation:
        return 0
    whole = max(1, batch // tokens.window) * tokens.window
    most = LOGITS_AT_ONCE_ON_GPU if device == "cuda" else LOGITS_AT_ONCE
    return LOGITS * min(whole * summary.vocabulary, max(most, summary.vocabulary))


def _search(recipe: Recipe, summary: ModelSummary, device: str, item: int) -> int:
    """What the search of an allocation takes in addition: its windows, copies of a small model to try
    candidates in parallel, and what candidates that are judged by their predictions share.
    """
    allocation = ALLOCATIONS[recipe.allocation]
    passes, windows = allocation.passes(recipe.parameters("allocation"))
    if not passes:
        return 0
    sides = min(os.cpu_count() or 1, MAX_PASSES) if device == "cpu" and is_small(summary) else 1
    tokens = min(recipe.samples, windows or recipe.samples) * recipe.window(summary.context_length)
    states = tokens * summary.width  # of the search's own windows
    kept = 0
    for share in allocation.judged:
        logits = ceil(share * tokens) * summary.vocabulary
        kept += fitness.PLACES_KEPT + (FLOAT32 * logits if logits <= fitness.LOGITS_KEPT else 0)
    if allocation.judged:
        kept += sides * LOGITS * fitness.LOGITS_AT_ONCE
    # Every side but the first has a copy of the model; each has its own hidden states and pruned block.
    return kept + item * (
        (sides - 1) * summary.parameters + (1 + sides) * states + sides * max(summary.sizes)
    )


def is_small(summary: ModelSummary) -> bool:
    """Whether a model computes with one thread per operation on a CPU (`engine.hardware.device`)."""
    return max(kind.rows * kind.columns for kind in summary.linears) <= SMALL


def reused(recipe: Recipe, summary: ModelSummary, placed: Placement, capacity: Capacity | None) -> int:
    """Return the bytes that the worker keeps in addition, only while they are free, so that later runs of
    this model are faster: a second copy of the weights, and the dense blocks' outputs for the evaluation
    text.

    The limits are those of `engine.run_cache`.
    """
    if capacity is None or placed.residence == "streamed":
        return 0
    free = capacity.device_free if placed.device == "cuda" else capacity.host_free
    item, limit = ITEM[dtype_of(recipe, summary, placed.device)], SHARE * (free or 0)
    states = text_of(recipe, summary).evaluation * summary.width * summary.blocks * item
    if 2 * summary.parameters * item > limit:
        return 0
    return summary.prunable * item + (states if states <= limit else 0)


def uses_hessian(recipe: Recipe) -> bool:
    """Whether one of the chosen methods needs the Hessian (the Gram matrix of the inputs)."""
    methods = (recipe.scoring, UPDATES[recipe.update], REFINEMENTS[recipe.refinement])
    return any(Need.HESSIAN in method.needs for method in methods)


@dataclass(frozen=True)
class Placement:
    """A choice, and the memory that it needs.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        residence: `resident` (the whole model in memory) or `streamed` (read block by block).
        offload: whether hidden states wait on the host between two blocks.
        batch: tokens per batch.
        footprint: bytes at the peak.
    """

    device: str
    residence: Residence
    offload: bool
    batch: int
    footprint: Footprint


def placement(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None) -> Placement:
    """Return the fastest placement that fits, or the one that needs least memory if none does.

    Args:
        capacity: what is free; None if unknown, and then the fastest placement is taken.
    """
    device = summary.device if recipe.device == "auto" else recipe.device
    residences: list[Residence] = (
        ["resident", "streamed"] if recipe.residence == "auto" else [recipe.residence]
    )
    fastest = TOKENS_AT_ONCE[device]
    batches = [fastest // part for part in SMALLER] if device == "cuda" else [fastest]
    # In the order of speed: for each residence first without offloading, and with large batches.
    for residence, offload, batch in product(
        residences, (False, True) if device == "cuda" else (False,), batches
    ):
        need = footprint(recipe, summary, device, residence, offload=offload, batch=batch)
        if capacity is None or fits(need, capacity):
            break
    # If nothing fits, the last one tried is returned: it needs least.
    return Placement(device, residence, offload, batch, need)


def fits(need: Footprint, capacity: Capacity) -> bool:
    """Whether the memory suffices, on the host and on the device."""
    return not (exceeds(need.device, capacity.device_free) or exceeds(need.host, capacity.host_free))


def exceeds(needed: int | None, free: int | None) -> bool:
    """Whether more bytes are needed than a run may take; False if either number is unknown."""
    return needed is not None and free is not None and needed > USED * free
