"""Lesson 7: a mask refined by swaps, one at a time, on a row small enough to display; and the effect of many
swaps on a whole matrix.

Each state is the result of the engine's refinement stopped after some cycles. So a swap is the difference
between two of its masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from engine.lessons.layer import output_error, statistics_of
from engine.pruning.axes import REFINEMENTS, Refined
from engine.pruning.plan import Plan
from engine.pruning.refinements.dsnot import NEEDS, dsnot_criteria
from engine.pruning.refinements.r2_dsnot import r2_dsnot_criteria
from engine.pruning.refinements.swaps import Criteria, dispensing, growing
from engine.pruning.statistics import Statistics

METHODS = ("dsnot", "r2-dsnot")
COLUMNS, SPARSITY = 12, 0.5
"""Of the row."""
MOST_SWAPS = 4
"""The most swaps of the row that the page offers; both methods stop there."""
ROW_SEED, ROW_MEAN = 63, 0.8
ROWS, WIDTH, WIDE_SPARSITY = 64, 96, 0.6
"""Of the matrix."""
CYCLES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Swaps per row after which the matrix is measured."""
WINDOWS, TOKENS = 8, 32


@dataclass(frozen=True)
class Row:
    """A pruned row after some swaps.

    Attributes:
        weights: `W_j`.
        means: the means of the inputs over the tokens.
        changes: `c_j = W_j m_j`, the mean loss of the output when the weight is removed, summed over the
            tokens of a window.
        kept: the mask.
        drift: `e`, the sum of c over the removed weights.
        error: the relative error of the output on the text.
        swapped: the column restored and the column removed by the last swap; None before the first.
        following: the same for the next swap; None if the row has stopped.
        growing: the rank of each removed weight for being restored next; None if it cannot be.
        leaving: the rank of each kept weight for being removed next; None if it cannot be.
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    changes: tuple[float, ...]
    kept: tuple[bool, ...]
    drift: float
    error: float
    swapped: tuple[int, int] | None
    following: tuple[int, int] | None
    growing: tuple[float | None, ...]
    leaving: tuple[float | None, ...]


@lru_cache(maxsize=32)
def row(swaps: int, method: str = "dsnot") -> Row:
    """Return the row after this many swaps, or after as many as the method makes."""
    weight, inputs = draw(ROW_SEED, 1, COLUMNS, ROW_MEAN)
    statistics = statistics_of(inputs, NEEDS)
    criteria = _criteria(method, weight, statistics)
    # Each from the start, because the engine's refinement cannot be resumed.
    first, before, now, after = (
        _keep(method, weight, statistics, count) for count in (0, max(0, swaps - 1), swaps, swaps + 1)
    )
    drift = float(criteria.change.masked_fill(now, 0).sum())  # e: c summed over the removed weights
    unused = (now == first)[0]  # each weight is swapped at most once
    sign = 1 if drift > 0 else -1
    return Row(
        weights=tuple(weight[0].tolist()),
        means=tuple((statistics.input_sum / TOKENS).tolist()),  # `input_sum` is per window
        changes=tuple(criteria.change[0].tolist()),
        kept=tuple(now[0].tolist()),
        drift=drift,
        error=output_error(weight, weight * now, inputs),
        swapped=_swap(before, now),
        following=_swap(now, after),
        # The engine ranks the candidates once, under the mask before any swap.
        growing=_ranks(growing(first, criteria, sign)[0], unused),
        leaving=_ranks(dispensing(first, criteria, sign)[0], unused),
    )


@dataclass(frozen=True)
class RefinedMatrix:
    """The matrix after `cycles` swaps per row.

    Attributes:
        drift: the mean of |e| over the rows, as a multiple of its value without swaps.
        error: the relative error of the output.
    """

    cycles: int
    drift: float
    error: float


@lru_cache(maxsize=64)
def matrix(mean: float, method: str = "dsnot", *, lower: bool = False) -> tuple[RefinedMatrix, ...]:
    """Return the matrix at each of `CYCLES`.

    Args:
        mean: how far the means of the inputs are from 0, in standard deviations of the inputs.
        method: one of `METHODS`.
        lower: whether to reject swaps that do not lower |e|.
    """
    weight, inputs = draw(3, ROWS, WIDTH, mean)
    statistics = statistics_of(inputs, NEEDS)
    states = []
    for cycles in CYCLES:
        # The state without swaps is read from a run with one cycle, which records what it started from.
        settings = {f"{method}.cycles": max(1, cycles), f"{method}.lower": "yes" if lower else "no"}
        plan = Plan.of(score="wanda", refinement=method, settings=settings)
        outcome = plan.prune(weight, statistics, WIDE_SPARSITY)
        refined: Refined | None = outcome.refined
        assert refined is not None and outcome.unrefined is not None
        assert refined.drift_before is not None and refined.drift_after is not None
        keep = outcome.keep if cycles else outcome.unrefined
        drift = float(refined.drift_after if cycles else refined.drift_before)
        states.append(RefinedMatrix(cycles, drift, output_error(weight, weight * keep, inputs)))
    return tuple(RefinedMatrix(each.cycles, each.drift / states[0].drift, each.error) for each in states)


def best(states: tuple[RefinedMatrix, ...]) -> RefinedMatrix:
    """Return the state with the smallest output error, the first among equals."""
    return min(states, key=lambda state: state.error)


def draw(seed: int, rows: int, columns: int, mean: float) -> tuple[Tensor, Tensor]:
    """Draw a weight `[rows, columns]` and inputs `[windows, tokens, columns]` of uneven strength.

    Args:
        seed, rows, columns: the seed and the sizes.
        mean: how far the means of the inputs are from 0, in standard deviations.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator)
    means = mean * torch.randn(columns, generator=generator)
    spread = (torch.randn(columns, generator=generator) / 2).exp()
    # [windows, tokens, columns]
    return weight, (means + torch.randn(WINDOWS, TOKENS, columns, generator=generator)) * spread


def _criteria(method: str, weight: Tensor, statistics: Statistics) -> Criteria:
    """Return the criteria by which the method chooses, with its default parameters."""
    if method == "dsnot":
        return dsnot_criteria(weight, statistics)
    names = ("relative_grow", "relative_prune", "alpha", "gamma1", "gamma2", "p")
    defaults: dict[str, Any] = {
        parameter.name: parameter.default for parameter in REFINEMENTS[method].parameters
    }
    return r2_dsnot_criteria(weight, statistics, **{name: defaults[name] for name in names})


def _keep(method: str, weight: Tensor, statistics: Statistics, cycles: int) -> Tensor:
    """Return Wanda's mask `[1, in]` after this many cycles of the method."""
    # `cycles` 0 would be the method's default number, not none.
    plan = Plan.of(
        score="wanda", refinement=method if cycles else "none", settings={f"{method}.cycles": cycles}
    )
    return plan.prune(weight, statistics, SPARSITY).keep


def _swap(before: Tensor, after: Tensor) -> tuple[int, int] | None:
    """Return the column restored and the column removed between two masks `[1, in]`."""
    restored, removed = (after & ~before)[0].nonzero(), (before & ~after)[0].nonzero()  # at most one of each
    return (int(restored[0]), int(removed[0])) if len(restored) else None


def _ranks(ranks: Tensor, unused: Tensor) -> tuple[float | None, ...]:
    return tuple(
        value if possible and value > -torch.inf else None
        for value, possible in zip(ranks.tolist(), unused.tolist(), strict=True)
    )
