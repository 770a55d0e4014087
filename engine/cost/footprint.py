"""How much memory a run takes at its peak, part by part, from the model's shape and the recipe.

What is there at once: the weights that are held; the text's hidden states in three streams (calibration,
evaluation dense and pruned); and either one block at work or the logits of some tokens. Bytes a weight are
counted from the code, the constants were measured: on a CPU the peaks of random models of 2 to 140 million
parameters came out within a fifth, that of 1.1 billion read block by block a third lower. Not counted: the
program itself (`PROGRAM`), what a method takes only because it is free (the joint update's batches), and
libraries of zero-shot tasks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.corpora.documents import corpus_path
from engine.hardware.batching import TOKENS_AT_ONCE, Residence
from engine.models.shape import ModelSummary
from engine.models.threads import MOST_SIDES, SMALL
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, SCORES, UPDATES
from engine.pruning.statistics import Need
from engine.recipe import Recipe

ITEM = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes a number."""
FLOAT32, TOKEN_ID = 4, 8
PROGRAM = 440_000_000
"""Bytes of a process that has imported everything and computed nothing."""
HOST_SLACK, DEVICE_SLACK = 110_000_000, 300_000_000
"""Bytes that the first computation takes for good, beside its tensors: libraries and fragments on the host,
the context on a device.
"""
SCRATCH, REFINING = 24, 11
"""Bytes a weight of the linear at work: the weight before and after, scores, masks (16 where rows compete, 20
to 24 else); and for swaps.
"""
HESSIANS, FACTORING = 2, 4
"""Matrices `[in, in]` float32 a linear of the block at work (the Gram matrix and its factor), and beside them
while one is factored.
"""
ACTIVATIONS_WIDTH, ACTIVATIONS_WIDEST = 6, 3
"""Activations a token in a block, in hidden states and in outputs of its widest linear."""
LOGITS_AT_ONCE = 8_000_000
"""As many as `engine.evaluation.perplexity` holds at a time. Not imported: a page would wait for the model
library.
"""
LOGITS = 3 * FLOAT32
"""Bytes a logit: as computed, as contiguous predictions, and as logarithms."""
BYTES_PER_TOKEN = 4  # of English text, roughly
TEXT_BYTES = {"wikitext2": 1_290_000, "ptb": 450_000}
"""UTF-8 bytes of named corpora's test parts."""
C4_WINDOWS = 256


@dataclass(frozen=True)
class Footprint:
    """Bytes at the peak, beyond what the program takes by itself.

    Attributes:
        host, device: in all; None on the device where the run stays on the host.
        parts: the same by what it is for: weights, text, block, logits, loading, search.
    """

    host: int
    device: int | None
    parts: dict[str, int]


@dataclass(frozen=True)
class Text:
    """Tokens of a run: calibration, evaluation, and of one window."""

    calibration: int
    evaluation: int
    window: int


def text_of(recipe: Recipe, summary: ModelSummary) -> Text:
    """The tokens of a recipe, those of files and named corpora from their sizes."""
    window = recipe.window(summary.longest)
    given = _given_tokens(recipe.calibration)
    calibration = recipe.samples * window if given is None else given
    return Text(calibration, sum(_evaluation_tokens(name, window) for name in recipe.evaluations), window)


def _evaluation_tokens(name: str, window: int) -> int:
    if name == "c4":
        return C4_WINDOWS * window
    given = _given_tokens(name)
    if given is not None:
        return given
    tokens = TEXT_BYTES.get(name, 0) or _size(corpus_path(name, "evaluation"))
    return tokens // BYTES_PER_TOKEN


def _given_tokens(name: str) -> int | None:
    """Tokens of a file of token ids, None for a text."""
    return _size(Path(name).expanduser()) // TOKEN_ID if name.endswith(".npy") else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def dtype_of(recipe: Recipe, summary: ModelSummary, device: str) -> str:
    """What the weights are held in: what is asked; else float32 on a CPU, and on an accelerator what the file
    holds.
    """
    if recipe.dtype != "auto":
        return recipe.dtype
    return summary.dtype if device != "cpu" and summary.dtype in ITEM else "float32"


def footprint(
    recipe: Recipe, summary: ModelSummary, device: str, residence: Residence, *, offload: bool = False
) -> Footprint:
    """The peak of a run on `device`, the model held so; `offload`: the text's hidden states wait on the host."""
    dtype = dtype_of(recipe, summary, device)
    item, tokens = ITEM[dtype], text_of(recipe, summary)
    parts = {
        "weights": item
        * (summary.parameters if residence == "resident" else summary.outside + summary.block_most),
        "text": _text(tokens, summary, item),
        "block": _block(recipe, summary, device, item),
        "logits": _logits(tokens, summary, device),
        "search": _search(recipe, summary, device, item),
    }
    if device == "cpu" and residence == "resident" and dtype != summary.dtype:
        parts["loading"] = summary.bytes  # the file stays mapped while the weights are converted
    working = parts["text"] + max(parts["block"] + parts["search"], parts["logits"])
    if device != "cuda":  # mps takes the host's memory
        return Footprint(HOST_SLACK + parts["weights"] + max(working, parts.get("loading", 0)), None, parts)
    parts["kept"] = _kept(recipe, summary, item)
    on_host = HOST_SLACK + parts["kept"] + item * summary.block_most + (parts["text"] if offload else 0)
    on_device = DEVICE_SLACK + parts["weights"] + working - (parts["text"] if offload else 0)
    return Footprint(on_host, on_device, parts)


def _text(tokens: Text, summary: ModelSummary, item: int) -> int:
    """Hidden states of three streams, and the ids of two."""
    states = tokens.calibration + 2 * tokens.evaluation
    return states * summary.width * item + (tokens.calibration + tokens.evaluation) * TOKEN_ID


def _block(recipe: Recipe, summary: ModelSummary, device: str, item: int) -> int:
    """A block while it is pruned: its results, the linear at work, activations of a batch, and Hessians where
    the methods use them.
    """
    largest = max(kind.rows * kind.columns for kind in summary.linears)
    scratch = SCRATCH + (REFINING if recipe.refinement != "none" else 0)
    work = scratch * largest + _activations(recipe, summary, device, item)
    if device == "cpu":
        work += _kept(recipe, summary, item)
    if uses_hessian(recipe):
        work += FLOAT32 * (HESSIANS * summary.block_grams + FACTORING * max(summary.widths.values()) ** 2)
    return work


def _kept(recipe: Recipe, summary: ModelSummary, item: int) -> int:
    """The block's new weights on their way into the run's folder, where they are not the old ones behind a
    mask.
    """
    return (item if UPDATES[recipe.update].changes_kept else 1) * max(summary.sizes)


def _activations(recipe: Recipe, summary: ModelSummary, device: str, item: int) -> int:
    tokens = max(TOKENS_AT_ONCE[device], recipe.window(summary.longest))
    widest = max(max(kind.rows, kind.columns) for kind in summary.linears)
    return tokens * (ACTIVATIONS_WIDTH * summary.width + ACTIVATIONS_WIDEST * widest) * item


def _logits(tokens: Text, summary: ModelSummary, device: str) -> int:
    """Logits of as many tokens as are measured at a time."""
    if not tokens.evaluation:
        return 0
    batch = max(1, TOKENS_AT_ONCE[device] // tokens.window) * tokens.window
    return LOGITS * min(batch * summary.vocabulary, max(LOGITS_AT_ONCE, summary.vocabulary))


def _search(recipe: Recipe, summary: ModelSummary, device: str, item: int) -> int:
    """What a search of the allocation takes beside: its own windows, and copies of a small model for those
    that go side by side.
    """
    passes, windows = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
    if not passes:
        return 0
    small = device == "cpu" and max(kind.rows * kind.columns for kind in summary.linears) <= SMALL
    sides = min(os.cpu_count() or 1, MOST_SIDES) if small else 1
    states = min(recipe.samples, windows or recipe.samples) * recipe.window(summary.longest) * summary.width
    return item * ((sides - 1) * summary.parameters + (1 + sides) * states + sides * max(summary.sizes))


def uses_hessian(recipe: Recipe) -> bool:
    """Whether a chosen method needs the Gram matrix of its inputs."""
    return (
        Need.HESSIAN
        in SCORES[recipe.score].needs | UPDATES[recipe.update].needs | REFINEMENTS[recipe.refinement].needs
    )
