"""The chosen method on every axis, bound to its parameters: what the one loop asks for each linear.

An expert that the router sent too few tokens is pruned by magnitude, in the same pattern and group, with no
update and no refinement, and says so. Too few are fewer than half as many as it has inputs, or than twice as
many where the methods use a Hessian. Measured on the bundled model's MLP linears at 50 %, error of the output
on other text, as a multiple of what magnitude in the same group makes: Wanda with 1/8, 1/2 and 2 tokens an
input 1.05, 1.00, 0.97; SparseGPT with 1/2, 1, 2 and 4 tokens 1.75, 1.32, 1.00, 0.92; Wanda with MRP 1.65,
1.18, 0.96, 0.87. For ordinary linears the recipe says how many tokens there are, so they never fall back.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from zlib import crc32

import torch
from torch import Tensor

from engine.events import Event
from engine.pruning import presets  # noqa: F401  (importing them fills the registries)
from engine.pruning.axes import (
    ALLOCATIONS,
    REFINEMENTS,
    SCORES,
    UPDATES,
    Allocation,
    Refined,
    Refinement,
    Score,
    Update,
)
from engine.pruning.masks import Frozen, Running, RunningScore
from engine.pruning.patterns import Group, Pattern, SemiStructured, Sparsity, Unstructured, parse_pattern
from engine.pruning.search import Walk
from engine.pruning.shares import Shares
from engine.pruning.statistics import Need, Reordered, Statistics
from engine.registry import Method

FEWEST, FEWEST_WITH_HESSIAN = 0.5, 2.0
"""Tokens that an expert must have seen for each of its inputs."""


@dataclass(frozen=True)
class Outcome:
    """One linear, pruned.

    Attributes:
        weight: the new weight `[out, in]`, exactly 0 where pruned.
        keep: the mask `[out, in]`.
        warnings: sentences about approximations made.
        unrefined: the mask as the score decided it, before refinement; None where it was decided while the
            weights changed.
        refined: what the refinement did.
    """

    weight: Tensor
    keep: Tensor
    warnings: tuple[str, ...] = ()
    unrefined: Tensor | None = None
    refined: Refined | None = None


@dataclass(frozen=True)
class Plan:
    """One choice on each axis, with `parameters[axis]` by name."""

    score: Score
    pattern: Pattern
    allocation: Allocation
    update: Update
    refinement: Refinement
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        *,
        score: str,
        pattern: str = "unstructured",
        group: Group | None = None,
        permutation: str | None = None,
        allocation: str = "uniform",
        update: str = "none",
        refinement: str = "none",
        settings: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The plan of these names; `settings` are `method.parameter`, and what they leave out has its
        default.
        """
        chosen = (SCORES[score], ALLOCATIONS[allocation], UPDATES[update], REFINEMENTS[refinement])
        axes = ("score", "allocation", "update", "refinement")
        n_of_m = parse_pattern(pattern)
        return cls(
            chosen[0],
            Unstructured(group or chosen[0].default_group)
            if n_of_m is None
            else SemiStructured(*n_of_m, permutation or "none"),
            *chosen[1:],
            parameters={
                axis: _bound(method, settings or {}) for axis, method in zip(axes, chosen, strict=True)
            },
        )

    @property
    def needs(self) -> frozenset[Need]:
        """The statistics that the chosen methods declare."""
        return self.score.needs | self.update.needs | self.refinement.needs

    @property
    def decides_while_updating(self) -> bool:
        """Whether the mask is decided on running weights, a few columns at a time, instead of once on the
        dense ones.
        """
        return (
            self.score.running
            and self.refinement.name == "none"
            and self.pattern.step is not None
            and self.update.running
        )

    def allocate(self, walk: Walk) -> Generator[Event, None, Shares]:
        """How much each block (and row) loses; what the method measures on the way are events."""
        return self.allocation.function(walk, **self.parameters["allocation"])

    def prune(
        self,
        weight: Tensor,
        statistics: Statistics,
        sparsity: Sparsity,
        *,
        path: str = "",
        attention: bool = True,
    ) -> Outcome:
        """Prune one linear's weight `[out, in]` (any dtype; the arithmetic is float32).

        Args:
            sparsity: one number, or one a row `[out]`.
            path: the linear's name in the model; methods that draw at random draw by it.
            attention: whether it is part of the block's attention.
        """
        weight = weight.to(torch.float32)
        if statistics.routed and statistics.tokens < self.fewest(statistics.width):
            return self._without_statistics(weight, statistics, sparsity)
        score = partial(self.score.function, **self._score_parameters(path))
        if self.decides_while_updating:
            running = Running(cast(RunningScore, score), statistics, self.pattern, cast(float, sparsity))
            updated = self.update.function(weight, statistics, running, **self.parameters["update"])
            return Outcome(updated.weight, updated.keep, updated.warnings)
        scores = score(weight, statistics)
        keep, order = self._mask(scores, sparsity)
        del scores  # as large as the weight
        refined = self._refine(keep, order, weight, statistics, attention)
        updated = self.update.function(weight, statistics, Frozen(refined.keep), **self.parameters["update"])
        return Outcome(updated.weight, updated.keep, updated.warnings, unrefined=keep, refined=refined)

    def fewest(self, width: int) -> int:
        """Tokens that an expert with `width` inputs must have seen for the chosen methods to be worth more
        than magnitude.
        """
        if not self.needs:
            return 0
        return max(1, round(width * (FEWEST_WITH_HESSIAN if Need.HESSIAN in self.needs else FEWEST)))

    def _without_statistics(self, weight: Tensor, statistics: Statistics, sparsity: Sparsity) -> Outcome:
        """The pattern alone, on the weights' magnitudes."""
        keep, _ = self._mask(weight.abs(), sparsity)
        asked = f"fewer than the {self.fewest(statistics.width)} that the chosen methods need for its {statistics.width} inputs"
        seen = f"the router sent it {statistics.tokens} token{'' if statistics.tokens == 1 else 's'}, {asked}"
        return Outcome(weight.masked_fill(~keep, 0), keep, (f"{seen}, so it was pruned by magnitude alone",))

    def _mask(self, scores: Tensor, sparsity: Sparsity) -> tuple[Tensor, Tensor | None]:
        """The mask, and the order of the columns that its groups were formed in where that is not their own."""
        order = self.pattern.order(scores) if isinstance(self.pattern, SemiStructured) else None
        if order is not None and isinstance(self.pattern, SemiStructured):
            return self.pattern.keep_within(scores, order), order
        return self.pattern.keep(scores, sparsity), None

    def _score_parameters(self, path: str) -> dict[str, Any]:
        parameters = dict(self.parameters["score"])
        if "seed" in parameters:
            parameters["seed"] = crc32(f"{parameters['seed']} {path}".encode())
        if self.score.joint and isinstance(self.pattern, SemiStructured):
            parameters |= {"n": self.pattern.n, "m": self.pattern.m}
        return parameters

    def _refine(
        self, keep: Tensor, order: Tensor | None, weight: Tensor, statistics: Statistics, attention: bool
    ) -> Refined:
        parameters = dict(self.parameters["refinement"])
        if self.refinement.name == "none" or (
            parameters.pop("layers", "all") == "attention" and not attention
        ):
            return Refined(keep)
        group = self.pattern.m if isinstance(self.pattern, SemiStructured) else None
        if order is None:
            return self.refinement.function(keep, weight, statistics, group=group, **parameters)
        moved = Reordered(statistics, order)  # swaps stay within the groups that the permutation formed
        refined = self.refinement.function(keep[:, order], weight[:, order], moved, group=group, **parameters)
        return replace(refined, keep=refined.keep[:, order.argsort()])


def _bound(method: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        parameter.name: settings.get(f"{method.name}.{parameter.name}", parameter.default)
        for parameter in method.parameters
    }
