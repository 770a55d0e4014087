"""Estimate how long a run takes: operations / speed of this machine, and bytes read / speed of a disk.

A pass over tokens is `2 * weights * tokens` operations. A run makes two passes over the calibration windows
and two over the evaluation windows, computes Hessians and the weight update, runs the passes of an allocation
that searches, and the zero-shot tasks. In a mixture of experts only the weights that a token is multiplied
with count.

The estimate is good to a factor of about two. Download and disk speeds are assumed, not measured.
"""

from __future__ import annotations

from engine.cost.footprint import Text, text_of, uses_hessian
from engine.hardware.memory import Residence
from engine.models.shape import ModelSummary
from engine.pruning.axes import ALLOCATIONS, UPDATES
from engine.recipe import Recipe

EFFICIENCY = 0.5
"""Share of the speed of a large matrix product that small models reach, measured on a CPU."""
FIXED_SECONDS = 0.3  # loading a small model, cutting windows, writing files
DOWNLOAD_RATE = 20e6
"""Assumed download speed in bytes per second: 160 Mbit/s."""
READ_RATE = 1e9
"""Assumed speed of a disk in bytes per second."""
UNPACK_RATE, UNPACK_SECONDS = 40e6, 2.0
"""Weights of a GGUF file that are unpacked per second, measured on a CPU; and the time for its vocabulary."""
TASK_EXAMPLES, TASK_TOKENS = 2_000, 300
"""Rough number of examples of a task without a limit, and of tokens in all answers of one example."""


def duration(recipe: Recipe, summary: ModelSummary, device: str, residence: Residence) -> float:
    """Return the seconds that a run takes, without the download."""
    passes = 1.0
    if residence == "streamed":  # every pass through the blocks reads them from the disk again
        searched, _ = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
        passes += searched + 2 * bool(recipe.tasks)
    reading = passes * (summary.storage.total or summary.bytes) / READ_RATE
    return FIXED_SECONDS + operations(recipe, summary) / (summary.speed(device) * EFFICIENCY) + reading


def unpacking_seconds(summary: ModelSummary) -> float:
    """Return the seconds for which a GGUF file has to be unpacked first."""
    return UNPACK_SECONDS + summary.parameters / UNPACK_RATE if summary.storage.unpacking else 0.0


def operations(recipe: Recipe, summary: ModelSummary) -> float:
    """Return the floating-point operations of a run."""
    text = text_of(recipe, summary)
    # 2 passes * 2 operations per weight and token
    forward = 4 * (text.calibration + text.evaluation) * summary.active
    # The head, `[vocabulary, width]`, reads only the evaluation windows: dense and pruned, 2 operations each.
    head = 4 * text.evaluation * summary.vocabulary * summary.width
    return (
        forward
        + head
        + _hessians(recipe, summary, text)
        + _allocation(recipe, summary, text)
        + _update(recipe, summary)
        + _tasks(recipe, summary)
    )


def _hessians(recipe: Recipe, summary: ModelSummary, text: Text) -> float:
    """Gram matrices of the inputs of all linears, and their factors."""
    if not uses_hessian(recipe):
        return 0
    # per linear: the Gram matrix, `in^2 * tokens` (half of it is computed), and its factor, `2 in^3`
    return sum(
        kind.count * (kind.columns**2 * text.calibration * kind.share + 2 * kind.columns**3)
        for kind in summary.linears
    )


def _allocation(recipe: Recipe, summary: ModelSummary, text: Text) -> float:
    """Forward passes of an allocation that measures or searches."""
    passes, windows = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
    # 2 operations per weight and token
    return passes * 2 * summary.active * min(text.calibration, (windows or recipe.samples) * text.window)


def _update(recipe: Recipe, summary: ModelSummary) -> float:
    update = UPDATES[recipe.update]
    return sum(
        kind.count * update.operations(kind.rows, kind.columns, recipe.sparsity) for kind in summary.linears
    )


def _tasks(recipe: Recipe, summary: ModelSummary) -> float:
    """Dense and pruned passes over the examples of the zero-shot tasks."""
    examples = len(recipe.tasks) * (recipe.task_limit or TASK_EXAMPLES)
    # 2 passes, 2 operations per weight and token
    return 4 * examples * TASK_TOKENS * (summary.active + summary.vocabulary * summary.width)
