"""What a run will cost, before it starts: memory from the model's shape, time from how fast this machine multiplies.

Work is `2 * weights * tokens` operations a pass: two passes over the calibration windows, two over the evaluation windows, plus the Hessians, what
the update does with them, and the passes of an allocation that searches. Small models reach a fraction of the speed of a large matrix product;
`EFFICIENCY` is that fraction as the benchmark measured it on a CPU. It is an estimate, good to a factor of about two, and says so.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from engine.corpora.documents import corpus_path
from engine.models.facts import ModelSummary
from engine.pruning.methods import ALLOCATIONS, SCORES, UPDATES
from engine.pruning.statistics import Need
from engine.recipe import Recipe

EFFICIENCY = 0.5
SECONDS_BESIDE = 0.3  # loading a small model, cutting windows, writing files
BYTES_PER_TOKEN = 4  # of English text, roughly
FLOAT32 = 4


class Cost(BaseModel):
    """An estimate.

    Attributes:
        seconds: time of the run.
        host_bytes: memory beyond what the program itself takes.
        device_bytes: memory on the accelerator, None where the run stays on the CPU.
        download_bytes: 0 for what is on the disk already.
        sentence: all of it in words.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    host_bytes: int
    device_bytes: int | None
    download_bytes: int
    sentence: str


def estimate(recipe: Recipe, summary: ModelSummary) -> Cost:
    """The cost of a recipe for a model of this shape."""
    tokens = recipe.samples * recipe.length
    measured = _evaluation_tokens(recipe)
    operations = 4 * (tokens + measured) * summary.prunable + _hessian_operations(recipe, summary, tokens)
    operations += _allocation_operations(recipe, summary) + _update_operations(recipe, summary)
    operations += 4 * measured * summary.skipped.get("embeddings", summary.skipped.get("head", 0))
    seconds = SECONDS_BESIDE + operations / (summary.speed * EFFICIENCY) + summary.bytes / 1e9
    on_device = _memory(recipe, summary, tokens + 2 * measured)
    device = summary.device if recipe.device == "auto" else recipe.device
    download = 0 if summary.local else summary.bytes
    host, accelerator = (on_device, None) if device == "cpu" else (summary.bytes, on_device)
    words = f"About {_seconds(seconds)} on {device}, {_bytes(accelerator or host)} of memory"
    return Cost(
        seconds=seconds,
        host_bytes=host,
        device_bytes=accelerator,
        download_bytes=download,
        sentence=f"{words}, {'nothing to download' if not download else f'{_bytes(download)} to download'}.",
    )


def _evaluation_tokens(recipe: Recipe) -> int:
    """Tokens of the evaluation text, from its size on disk."""
    if recipe.evaluation is None:
        return 0
    path = corpus_path(recipe.evaluation, "evaluation")
    size = path.stat().st_size if path.is_file() else 0
    return size // (8 if path.suffix == ".npy" else BYTES_PER_TOKEN)


def _hessian_operations(recipe: Recipe, summary: ModelSummary, tokens: int) -> float:
    """Gram matrices of every linear's input and their factors."""
    if Need.HESSIAN not in SCORES[recipe.score].needs | UPDATES[recipe.update].needs:
        return 0
    grams = sum(width**2 for width in summary.widths.values()) * tokens
    return grams + sum(2 * width**3 for width in summary.widths.values())


def _allocation_operations(recipe: Recipe, summary: ModelSummary) -> float:
    """The forward passes that an allocation takes for itself."""
    passes, windows = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
    return passes * 2 * summary.prunable * min(recipe.samples, windows or recipe.samples) * recipe.length


def _update_operations(recipe: Recipe, summary: ModelSummary) -> float:
    update = UPDATES[recipe.update]
    return sum(update.operations(rows, columns, recipe.sparsity) for rows, columns in summary.shapes.values())


def _memory(recipe: Recipe, summary: ModelSummary, tokens: int) -> int:
    """The weights, one block's worth of working copies and statistics, and the hidden states of all windows."""
    half = recipe.dtype in ("bfloat16", "float16") or (
        recipe.dtype == "auto" and summary.device != "cpu" and summary.bytes < FLOAT32 * summary.parameters
    )
    weights = summary.parameters * (2 if half else FLOAT32)
    narrowest, widest = min(summary.widths.values()), max(summary.widths.values())
    block = FLOAT32 * (3 * max(summary.sizes) + 2 * widest**2)
    return weights + block + tokens * narrowest * (2 if half else FLOAT32)


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
