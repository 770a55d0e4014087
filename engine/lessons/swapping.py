"""Lesson 7: a mask that is mended by swaps, one at a time, on a row small enough to see; and what many swaps
do to a whole matrix.

Every state is what the engine's refinement returns when it is stopped behind so many cycles, so a swap is the
difference of two of its masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from engine.lessons.observed import output_error, statistics_of
from engine.pruning.axes import REFINEMENTS, Refined
from engine.pruning.plan import Plan
from engine.pruning.refinements.dsnot import NEEDS, dsnot_criteria
from engine.pruning.refinements.r2_dsnot import r2_dsnot_criteria
from engine.pruning.refinements.swaps import Criteria, dispensing, growing
from engine.pruning.statistics import Statistics

METHODS = ("dsnot", "r2-dsnot")
COLUMNS, SPARSITY = 12, 0.5
"""Of the row."""
MOST = 4
"""Swaps of the row that can be asked for."""
ROW_SEED, ROW_MEAN = 63, 0.8
ROWS, WIDTH, WIDE_SPARSITY = 64, 96, 0.6
"""Of the matrix."""
CYCLES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Swaps a row behind which the matrix is looked at."""
WINDOWS, TOKENS = 8, 32


@dataclass(frozen=True)
class Row:
    """A pruned row behind some swaps.

    Attributes:
        weights: `W_j`.
        means: the inputs' means over the tokens.
        changes: `c_j = W_j m_j`: what the output loses on average when the weight goes, summed over a
            window's tokens.
        kept: which weights stay.
        drift: `e`, the sum of c over what is pruned.
        error: of the output on the text, as a share of it.
        swapped: the column that came back with this swap and the one that went; None before the first.
        following: the same of the next swap; None where the row has stopped.
        growing: how much each weight asks to come back next; None where it cannot.
        leaving: how much each can be spared next; None where it cannot.
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
    """The row behind so many swaps, or as many as the method makes."""
    weight, inputs = _drawn(ROW_SEED, 1, COLUMNS, ROW_MEAN)
    statistics = statistics_of(inputs, NEEDS)
    criteria = _criteria(method, weight, statistics)
    first, before, now, after = (
        _keep(method, weight, statistics, count) for count in (0, max(0, swaps - 1), swaps, swaps + 1)
    )
    drift = float(criteria.change.masked_fill(now, 0).sum())
    unused = (now == first)[0]  # an entry is swapped once at most
    sign = 1 if drift > 0 else -1
    return Row(
        weights=_numbers(weight[0]),
        means=_numbers(statistics.input_sum / TOKENS),
        changes=_numbers(criteria.change[0]),
        kept=tuple(now[0].tolist()),
        drift=drift,
        error=output_error(weight, weight * now, inputs),
        swapped=_swap(before, now),
        following=_swap(now, after),
        growing=_ranks(growing(first, criteria, sign)[0], unused),
        leaving=_ranks(dispensing(first, criteria, sign)[0], unused),
    )


@dataclass(frozen=True)
class Mended:
    """A matrix behind so many swaps a row: the mean of |e| over its rows, the unit of which is its value
    before, and the error of its output.
    """

    cycles: int
    drift: float
    error: float


@lru_cache(maxsize=64)
def matrix(mean: float, method: str = "dsnot", *, lower: bool = False) -> tuple[Mended, ...]:
    """The matrix at each of `CYCLES`.

    Args:
        mean: how far the inputs' means are from 0, in their standard deviations.
        lower: whether a swap is refused that does not lower |e|.
    """
    weight, inputs = _drawn(3, ROWS, WIDTH, mean)
    statistics = statistics_of(inputs, NEEDS)
    found = []
    for cycles in CYCLES:
        keep, drift = _mended(weight, statistics, method, max(1, cycles), lower, refine=cycles > 0)
        found.append(Mended(cycles, drift, output_error(weight, weight * keep, inputs)))
    return tuple(Mended(each.cycles, each.drift / found[0].drift, each.error) for each in found)


def best(states: tuple[Mended, ...]) -> Mended:
    """The state with the least error of the output, the first among equals."""
    return min(states, key=lambda state: state.error)


def _drawn(seed: int, rows: int, columns: int, mean: float) -> tuple[Tensor, Tensor]:
    """A weight `[rows, columns]` and inputs `[windows, tokens, columns]` of uneven strength, whose means are
    about `mean` standard deviations.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator)
    means = mean * torch.randn(columns, generator=generator)
    spread = (torch.randn(columns, generator=generator) / 2).exp()
    return weight, (means + torch.randn(WINDOWS, TOKENS, columns, generator=generator)) * spread


def _criteria(method: str, weight: Tensor, statistics: Statistics) -> Criteria:
    """What the method chooses by, with its default parameters."""
    if method == "dsnot":
        return dsnot_criteria(weight, statistics)
    names = ("relative_grow", "relative_prune", "alpha", "gamma1", "gamma2", "p")
    defaults: dict[str, Any] = {
        parameter.name: parameter.default for parameter in REFINEMENTS[method].parameters
    }
    return r2_dsnot_criteria(weight, statistics, **{name: defaults[name] for name in names})


def _keep(method: str, weight: Tensor, statistics: Statistics, cycles: int) -> Tensor:
    """Wanda's mask behind so many cycles of the method."""
    plan = Plan.of(
        score="wanda", refinement=method if cycles else "none", settings={f"{method}.cycles": cycles}
    )
    return plan.prune(weight, statistics, SPARSITY).keep


def _mended(
    weight: Tensor, statistics: Statistics, method: str, cycles: int, lower: bool, *, refine: bool
) -> tuple[Tensor, float]:
    """The mask, and the mean of |e|."""
    settings = {f"{method}.cycles": cycles, f"{method}.lower": "yes" if lower else "no"}
    outcome = Plan.of(score="wanda", refinement=method, settings=settings).prune(
        weight, statistics, WIDE_SPARSITY
    )
    refined: Refined | None = outcome.refined
    assert (
        refined is not None
        and refined.drift_before is not None
        and refined.drift_after is not None
        and outcome.unrefined is not None
    )
    return (outcome.keep, refined.drift_after) if refine else (outcome.unrefined, refined.drift_before)


def _swap(before: Tensor, after: Tensor) -> tuple[int, int] | None:
    """The column that came back and the one that went between two masks `[1, in]`."""
    grown, pruned = (after & ~before)[0].nonzero(), (before & ~after)[0].nonzero()
    return (int(grown[0]), int(pruned[0])) if len(grown) else None


def _ranks(ranks: Tensor, unused: Tensor) -> tuple[float | None, ...]:
    return tuple(
        value if possible and value > -torch.inf else None
        for value, possible in zip(ranks.tolist(), unused.tolist(), strict=True)
    )


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
