"""SparseSwaps: exchange a kept and a removed weight of a row, always the pair that lowers the error of the
row's output most, until no exchange lowers it. No weight changes its value.

The effect of every exchange is known exactly, and the best one is found without trying all
(`engine.pruning.refinements.best_swap`). Rows are independent and swap in parallel, many at a time. The
number of swaps grows with the width of a row, so the time grows with its square; assets/measurements.md has
figures.

The paper stops after a given number of swaps per row. Here a row goes on until nothing helps, which takes a
swap for about every sixteenth column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError
from engine.hardware.device import share_threads
from engine.hardware.transfers import require
from engine.pruning import papers
from engine.pruning.axes import REFINEMENTS, Refined, Refinement
from engine.pruning.effort import Effort
from engine.pruning.refinements.best_swap import best_swaps, best_swaps_in_groups
from engine.pruning.refinements.swap_state import Inputs, Rows
from engine.pruning.statistics import Need, Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


NUMBERS_AT_ONCE, NUMBERS_ON_ACCELERATOR = 2**17, 2**24
"""Weights whose rows swap together: enough to be worth the calls, few enough for the memory of a search."""
SWAPS_PER_COLUMN, MOST_PER_MEAN = 0.06, 3
"""Swaps of a row per column at 60 % after Wanda, and how many more the slowest row makes than the mean."""
NUMBERS = {False: 600, True: 250}
"""Numbers read or written per weight and swap, measured on a CPU, by whether swaps stay within groups."""
STEPS = 50
"""Small computations per swap of all rows."""


def sparse_swaps(
    keep: Tensor, weight: Tensor, statistics: Statistics, *, group: int | None, swaps: int
) -> Refined:
    """Return the mask `[out, in]` after the swaps (SparseSwaps, arXiv 2512.10922).

    A row makes one swap after the other, its best one each time (with `group`, of the pairs whose columns are
    in the same group), at most `swaps` of them; 0 stands for as many as it has columns.

    Raises:
        NonFiniteError: an activation or a weight is not a finite number.
    """
    hessian = statistics.hessian
    problem = "Some activations of a linear's input, or its weights, are not finite."
    require(hessian.isfinite().all() & weight.isfinite().all(), lambda: NonFiniteError(problem))
    inputs = Inputs.of(hessian)
    result, before = keep.clone(), row_errors(weight, keep, hessian).mean()
    made = torch.zeros(len(keep), dtype=torch.int64, device=keep.device)

    def swap_all(some: Tensor) -> None:
        left = some
        # Swap by swap, `Rows.coupled` collects rounding errors: rows that swapped are checked with a new one.
        while len(left):
            rows = Rows.of(weight[left], result[left], inputs)
            count = _swap(rows, left, result, inputs, group, (swaps or keep.shape[1]) - made[left])
            made[left] += count
            left = left[count > 0]

    at_once, workers = NUMBERS_ON_ACCELERATOR, 1
    if keep.device.type == "cpu" and keep.numel() > NUMBERS_AT_ONCE:
        # Threads on different rows are faster than all of them on each of many small operations.
        at_once, workers = NUMBERS_AT_ONCE, torch.get_num_threads()
    parts = workers * math.ceil(keep.numel() / at_once / workers)  # as many for each
    share_threads(swap_all, torch.arange(len(keep), device=keep.device).chunk(parts), workers)
    return Refined(result, made.sum(), before, row_errors(weight, result, hessian).mean())


def _swap(rows: Rows, index: Tensor, keep: Tensor, inputs: Inputs, group: int | None, most: Tensor) -> Tensor:
    """Swap in rows of the mask `keep`, `[out, in]`, in place, as long as it helps; return how often,
    `[rows]`.

    Args:
        index: which rows of the mask they are, `[rows]`.
        most: how often each may swap, `[rows]`.
    """
    made, left = torch.zeros_like(most), torch.arange(len(most), device=most.device)
    while len(left):
        swaps = best_swaps(rows, inputs) if group is None else best_swaps_in_groups(rows, inputs, group)
        helps = (swaps.change < 0) & (made[left] < most[left])
        if not helps.all():
            rows, swaps, left = rows.where(helps), swaps.where(helps), left[helps]
        rows.swap(swaps, inputs.hessian)
        made[left] += 1
        keep[index[left], swaps.kept], keep[index[left], swaps.removed] = False, True
    return made


def row_errors(weight: Tensor, keep: Tensor, hessian: Tensor) -> Tensor:
    """Return `sqrt(r H r / 2)` of each row, `[out]`: the norm of its output error over the tokens of a
    window, in root mean square over the windows.
    """
    removed = weight.masked_fill(keep, 0)
    return ((removed @ hessian) * removed).sum(1).clamp(min=0).div(2).sqrt()


def _effort(rows: int, columns: int, in_groups: bool) -> Effort:
    """Return what the swaps compute for a linear."""
    swaps = SWAPS_PER_COLUMN * columns
    return Effort(numbers=NUMBERS[in_groups] * swaps * rows * columns, steps=STEPS * MOST_PER_MEAN * swaps)


REFINEMENTS.add(
    Refinement(
        name="sparseswaps",
        title="SparseSwaps",
        explanation="Exchanges a kept and a removed weight of a row, always the pair that lowers the error "
        "of the row's output most, until no exchange lowers it.",
        helps="With every score, most from 60 % on, where it can gain more than a weight update. Like one, "
        "it fits the calibration text: with SmolLM2-135M at 2:4 on WikiText-2, calibrated on that, it has a "
        "perplexity of 144 where Wanda has 223; calibrated on stories, 371 and 262. Takes several times as "
        "long as DSnoT, and wide layers longest.",
        formula=r"\min_{p \text{ kept},\, g \text{ removed}} \; w_p^2 G_{pp} + 2 w_p c_p + w_g^2 G_{gg} - "
        r"2 w_g c_g - 2 w_p w_g G_{pg}, \quad G = X^T X, \; c = G\,(w - m \odot w)",
        paper=papers.SPARSESWAPS,
        sources="Only the paper's abstract and introduction could be read. By how much an exchange changes "
        "the error is derived from its objective, and checked against trying all of them on small layers.",
        parameters=(
            Parameter(
                name="swaps",
                kind="int",
                default=0,
                minimum=0,
                maximum=100_000,
                explanation="most swaps per row; 0 = until no swap lowers the error, at most one per column",
            ),
        ),
        function=sparse_swaps,
        needs=frozenset({Need.HESSIAN}),
        effort=_effort,
        measure="row error ‖Xr‖",
        measured="Row error: the norm of a row's output error over the tokens of a window, in root mean "
        "square over the windows, mean over the rows.",
    )
)
