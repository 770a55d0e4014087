"""The shapes of a method on each axis: what its function is given and what it returns. All are pure functions
of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.events import Event
from engine.pruning.patterns import Group
from engine.pruning.shares import Shares
from engine.pruning.statistics import Need
from engine.registry import Method, Registry


@dataclass(frozen=True)
class Updated:
    """What an update returns.

    Attributes:
        weight: the new weight `[out, in]`, exactly 0 where pruned.
        keep: the mask `[out, in]`.
        warnings: sentences about approximations made (for instance a raised damping).
    """

    weight: Tensor
    keep: Tensor
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refined:
    """What a refinement returns.

    Attributes:
        keep: the mask `[out, in]`, with as many kept in each row (and group of an N:M pattern) as before.
        swaps: entries that were exchanged.
        drift_before: mean over the rows of |e_i|, for a method that measures it; None otherwise.
        drift_after: the same behind the swaps.
    """

    keep: Tensor
    swaps: int = 0
    drift_before: float | None = None
    drift_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Score(Method):
    """`function(weight [out, in], statistics, **parameters)` gives scores `[out, in]`; higher = kept.

    A parameter named `seed` reaches the function mixed with the linear's path, so that linears draw
    independently.

    Attributes:
        running: whether an update that goes through the columns should have it evaluated on the weights as
            updated so far.
        joint: whether it decides whole groups of an N:M pattern at once; then the function is also given `n`
            and `m`.
    """

    function: Callable[..., Tensor]
    needs: frozenset[Need] = frozenset()
    default_group: Group
    running: bool = False
    joint: bool = False


@dataclass(frozen=True, kw_only=True)
class Update(Method):
    """`function(weight [out, in] float32, statistics, source, **parameters)` gives an `Updated`.

    Attributes:
        changes_kept: whether weights that stay may change; where they may not, the mask alone is worth
            storing.
        running: whether it goes through the columns, so that a running score is asked for them as they have
            become.
        operations: floating-point operations for a linear of `(rows, columns)` at a sparsity, beside the
            statistics.
    """

    function: Callable[..., Updated]
    needs: frozenset[Need] = frozenset()
    changes_kept: bool = True
    running: bool = False
    operations: Callable[[int, int, float], float] = lambda rows, columns, sparsity: 0.0


@dataclass(frozen=True, kw_only=True)
class Allocation(Method):
    """`function(walk, **parameters)` yields what it measures as events and returns the `Shares`.

    The parameter-weighted mean of the shares is the target. `walk` is an `engine.pruning.search.Walk`.

    Attributes:
        measure: the quantity that its `BlockMeasured` events carry, with its unit; empty where it measures
            nothing.
        passes: with these parameters, how many forward passes of its own it takes and over how many windows
            (None for all of them).
        even: whether all blocks always get the same.
        rows: whether, with these parameters, single rows get shares of their own.
        group: the comparison group that it was published with, taken instead of a score's own where that is
            the whole layer.
    """

    function: Callable[..., Generator[Event, None, Shares]]
    measure: str = ""
    passes: Callable[[Mapping[str, Any]], tuple[float, int | None]] = lambda parameters: (0, None)
    even: bool = False
    rows: Callable[[Mapping[str, Any]], bool] = lambda parameters: False
    group: Group | None = None


@dataclass(frozen=True, kw_only=True)
class Refinement(Method):
    """`function(keep [out, in], weight, statistics, *, group, **parameters)` gives a `Refined`.

    `group` is m where swaps have to stay within each m consecutive columns (N:M), None where they may go
    anywhere in the row. A parameter named `layers` (`all` or `attention`) says which linears are refined; it
    is read by the plan, the function never sees it.
    """

    function: Callable[..., Refined]
    needs: frozenset[Need] = frozenset()


SCORES: Registry[Score] = Registry("score")
UPDATES: Registry[Update] = Registry("update")
ALLOCATIONS: Registry[Allocation] = Registry("allocation")
REFINEMENTS: Registry[Refinement] = Registry("refinement")
AXES: dict[str, Registry[Any]] = {axis.axis: axis for axis in (SCORES, ALLOCATIONS, UPDATES, REFINEMENTS)}
