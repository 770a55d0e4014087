"""Estimate how long a run takes: what it computes, at the rates of this machine, and what it reads from the
disk.

Matrix products take their operations divided by the measured speed, everything else (norms, activations,
scores, choosing masks) the numbers that it reads and writes divided by the measured bandwidth. A pass over
tokens is `2 * weights * tokens` operations and the attention's. A run makes two passes over the calibration
windows and two over the evaluation windows, of which the head predicts every token; computes Hessians, masks
and the weight update; runs the passes of an allocation that searches; and the zero-shot tasks. In a mixture
of experts only the weights that a token is multiplied with count.

The constants were measured on a CPU with models of 2 and of 135 million weights; `tests/benchmarks/estimates`
prints estimates next to measurements. All runs that were measured on an idle machine were within a factor of
1.5; other programs may slow a run down. Download and disk speeds are assumed, not measured.
"""

from __future__ import annotations

from engine.cost.footprint import Text, text_of, uses_hessian
from engine.evaluation.tasks.catalogue import TASKS
from engine.hardware.memory_plan import Residence
from engine.models.shape import LinearKind, ModelSummary
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, UPDATES
from engine.pruning.effort import Effort
from engine.pruning.patterns import UNSTRUCTURED
from engine.recipe import Recipe

FIXED_SECONDS = 0.8  # cutting windows, writing events and the record
TASKS_SECONDS = 3.0  # importing lm-eval, and reading the dense model again
STEP_SECONDS = 25e-6
"""Time that starting a small computation takes."""
LINEAR_STEPS = 16
"""Small computations per linear: its statistics, its mask, its event."""
DOWNLOAD_RATE = 20e6
"""Assumed download speed in bytes per second: 160 Mbit/s."""
READ_RATE = 0.5e9
"""Assumed bytes per second that are read from a disk, converted and hashed."""
UNPACK_RATE, UNPACK_SECONDS = 40e6, 2.0
"""Weights of a GGUF file that are unpacked per second, measured on a CPU; and the time for its vocabulary."""
NUMBER = 4  # bytes: all rates of numbers were measured in float32
PASS_NUMBERS = 150
"""Numbers that a block's norms, activations, rotations and sums read and write, per token and per feature of
its hidden state.
"""
LOGIT_NUMBERS = 20
"""Numbers that a loss reads and writes per logit."""
MASK_NUMBERS = {False: 80, True: 140}
"""Numbers that scoring, choosing and storing a mask reads and writes per weight, by whether the pattern is
N:M.
"""
GRAM_OPERATIONS, FACTOR_OPERATIONS = 1.5, 3
"""Operations of a linear's Gram matrix, per token and `in^2` (2, but some linears share their input), and of
its factor, per `in^3` (2/3, in factorisations that reach a quarter of the speed of a product).
"""
ERROR_PRODUCTS, ERROR_TOKENS = 3, 128
"""Products of a linear with the tokens that its output error is measured on."""
PREDICTED = 0.3
"""Share of a task's tokens that the head predicts: those of the answers."""


def duration(recipe: Recipe, summary: ModelSummary, device: str, residence: Residence) -> float:
    """Return the seconds that a run takes, without the download."""
    passes = 1.0
    if residence == "streamed":  # every pass through the blocks reads them from the disk again
        searched, _ = ALLOCATIONS[recipe.allocation].passes(recipe.parameters("allocation"))
        passes += searched + 2 * bool(recipe.tasks)
    reading = passes * (summary.storage.total or summary.bytes) / READ_RATE
    fixed = FIXED_SECONDS + TASKS_SECONDS * bool(recipe.tasks)
    work = effort(recipe, summary)
    return (
        fixed
        + reading
        + work.operations / summary.speed(device)
        + work.numbers * NUMBER / summary.bandwidth(device)
        + work.steps * STEP_SECONDS
    )


def unpacking_seconds(summary: ModelSummary) -> float:
    """Return the seconds for which a GGUF file has to be unpacked first."""
    return UNPACK_SECONDS + summary.parameters / UNPACK_RATE if summary.storage.unpacking else 0.0


def effort(recipe: Recipe, summary: ModelSummary) -> Effort:
    """Return what a run computes."""
    text = text_of(recipe, summary)
    return (
        _pass(summary, text.window) * (2 * (text.calibration + text.evaluation))
        + _head(summary) * (2 * text.evaluation)  # dense and pruned
        + _hessians(recipe, summary, text.calibration)
        + _allocation(recipe, summary, text)
        + _pruning(recipe, summary)
        + _tasks(recipe, summary)
    )


def _pass(summary: ModelSummary, window: int) -> Effort:
    """One token of a window passing through all blocks."""
    # A token attends to up to `window` others: 2 operations for its products with keys and 2 with values.
    attention = 4 * summary.blocks * window * summary.width
    return Effort(2 * summary.active + attention, PASS_NUMBERS * summary.blocks * summary.width)


def _head(summary: ModelSummary) -> Effort:
    """The predictions after one token, and their loss."""
    return Effort(2 * summary.vocabulary * summary.width, LOGIT_NUMBERS * summary.vocabulary)


def _hessians(recipe: Recipe, summary: ModelSummary, tokens: int) -> Effort:
    """Gram matrices of the inputs of all linears in a pass over these tokens, and their factors."""
    if not uses_hessian(recipe):
        return Effort()
    return Effort(
        sum(
            kind.count
            * kind.columns**2
            * (GRAM_OPERATIONS * tokens * kind.share + FACTOR_OPERATIONS * kind.columns)
            for kind in summary.linears
        )
    )


def _allocation(recipe: Recipe, summary: ModelSummary, text: Text) -> Effort:
    """Forward passes of an allocation that measures or searches, and the candidates that it prunes."""
    allocation, parameters = ALLOCATIONS[recipe.allocation], recipe.parameters("allocation")
    passes, windows = allocation.passes(parameters)
    tokens = min(text.calibration, (windows or recipe.samples) * text.window)
    candidate = _hessians(recipe, summary, tokens) + _pruning(recipe, summary)
    return _pass(summary, text.window) * (passes * tokens) + candidate * allocation.candidates(parameters)


def _pruning(recipe: Recipe, summary: ModelSummary) -> Effort:
    """Scores, masks, the weight update and the output errors of all linears."""
    return sum((_linear(recipe, kind) * kind.count for kind in summary.linears), Effort())


def _linear(recipe: Recipe, kind: LinearKind) -> Effort:
    in_groups, refinement = recipe.pattern != UNSTRUCTURED, REFINEMENTS[recipe.refinement]
    numbers = MASK_NUMBERS[in_groups] + recipe.scoring.numbers + refinement.numbers
    errors = 2 * ERROR_PRODUCTS * ERROR_TOKENS
    weights = kind.rows * kind.columns
    refining = refinement.effort(kind.rows, kind.columns, in_groups)
    update = UPDATES[recipe.update].effort(kind.rows, kind.columns, recipe.sparsity)
    return refining + update + Effort(errors * weights, numbers * weights, LINEAR_STEPS)


def _tasks(recipe: Recipe, summary: ModelSummary) -> Effort:
    """Dense and pruned passes over the examples of the zero-shot tasks."""
    work = Effort()
    for task in (TASKS[name] for name in recipe.tasks):
        examples = min(task.examples, recipe.task_limit or task.examples)
        work += (_pass(summary, task.tokens) + _head(summary) * PREDICTED) * (2 * examples * task.tokens)
    return work
