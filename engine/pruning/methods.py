"""The shapes of a method on each axis: what its function is given and what it returns. All are pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.pruning.patterns import Group
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


@dataclass(frozen=True, kw_only=True)
class Score(Method):
    """`function(weight [out, in], statistics, **parameters)` gives scores `[out, in]`; higher = kept.

    Attributes:
        running: whether an update that goes through the columns should have it evaluated on the weights as updated so far.
    """

    function: Callable[..., Tensor]
    needs: frozenset[Need] = frozenset()
    default_group: Group
    running: bool = False


@dataclass(frozen=True, kw_only=True)
class Update(Method):
    """`function(weight [out, in] float32, statistics, source, **parameters)` gives an `Updated`.

    Attributes:
        changes_kept: whether weights that stay may change; where they may not, the mask alone is worth storing.
    """

    function: Callable[..., Updated]
    needs: frozenset[Need] = frozenset()
    changes_kept: bool = True


@dataclass(frozen=True, kw_only=True)
class Allocation(Method):
    """`function(target, sizes, **parameters)` gives one sparsity a block; `sizes` are the blocks' prunable weights.

    The parameter-weighted mean of the ratios is the target.
    """

    function: Callable[..., Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Refinement(Method):
    """`function(keep [out, in], weight, statistics, **parameters)` gives a mask with the same number kept a row."""

    function: Callable[..., Tensor]
    needs: frozenset[Need] = frozenset()


SCORES: Registry[Score] = Registry("score")
UPDATES: Registry[Update] = Registry("update")
ALLOCATIONS: Registry[Allocation] = Registry("allocation")
REFINEMENTS: Registry[Refinement] = Registry("refinement")
AXES: dict[str, Registry[Any]] = {axis.axis: axis for axis in (SCORES, ALLOCATIONS, UPDATES, REFINEMENTS)}
