"""How long a run takes: operations over how fast this machine multiplies, and bytes over how fast a disk
reads.

Work is `2 * weights * tokens` operations a pass: two passes over the calibration windows, two over the
evaluation windows, plus the Hessians, what the update does with them, the passes of an allocation that
searches, and the zero-shot tasks. Of a mixture of experts only the weights that a token is multiplied with
count. Small models reach a fraction of the speed of a large matrix product; `EFFICIENCY` is that fraction as
the benchmark measured it on a CPU. It is an estimate, good to a factor of about two. Download and disk are at
assumed rates.
"""

from __future__ import annotations

from engine.cost.footprint import Text, text_of, uses_hessian
from engine.hardware.batching import Residence
from engine.models.shape import ModelSummary
from engine.pruning.axes import ALLOCATIONS, UPDATES
from engine.recipe import Recipe

EFFICIENCY = 0.5
SECONDS_BESIDE = 0.3  # loading a small model, cutting windows, writing files
DOWNLOAD_RATE = 20e6
"""Bytes a second that a download is assumed to take: 160 Mbit/s."""
READ_RATE = 1e9
"""Bytes a second that a disk is assumed to read."""
TASK_EXAMPLES, TASK_TOKENS = 2_000, 300
"""Examples of a zero-shot task without a limit, and tokens that an example's answers take together, roughly."""


def duration(recipe: Recipe, summary: ModelSummary, device: str, residence: Residence) -> float:
    """Seconds of a run, without the download."""
    passes = 1.0
    if residence == "streamed":  # every pass through the blocks reads them anew
        passes += ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))[0] + 2 * bool(
            recipe.tasks
        )
    reading = passes * (summary.storage.total or summary.bytes) / READ_RATE
    return SECONDS_BESIDE + operations(recipe, summary) / (summary.speed(device) * EFFICIENCY) + reading


def operations(recipe: Recipe, summary: ModelSummary) -> float:
    """Floating-point operations of a run."""
    text = text_of(recipe, summary)
    forward = 4 * (text.calibration + text.evaluation) * summary.active
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
    """Gram matrices of every linear's input and their factors."""
    if not uses_hessian(recipe):
        return 0
    return sum(
        kind.count * (kind.columns**2 * text.calibration * kind.share + 2 * kind.columns**3)
        for kind in summary.linears
    )


def _allocation(recipe: Recipe, summary: ModelSummary, text: Text) -> float:
    """The forward passes that an allocation takes for itself."""
    passes, windows = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
    return passes * 2 * summary.active * min(text.calibration, (windows or recipe.samples) * text.window)


def _update(recipe: Recipe, summary: ModelSummary) -> float:
    update = UPDATES[recipe.update]
    return sum(
        kind.count * update.operations(kind.rows, kind.columns, recipe.sparsity) for kind in summary.linears
    )


def _tasks(recipe: Recipe, summary: ModelSummary) -> float:
    """Dense and pruned passes over the examples of the zero-shot tasks."""
    examples = len(recipe.tasks) * (recipe.task_limit or TASK_EXAMPLES)
    return 4 * examples * TASK_TOKENS * (summary.active + summary.vocabulary * summary.width)
