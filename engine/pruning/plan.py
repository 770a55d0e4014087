"""The chosen method on every axis, bound to its parameters: what the one loop asks for each linear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from engine.pruning import presets  # noqa: F401  (importing them fills the registries)
from engine.pruning.masks import Frozen, MaskSource, Running, RunningScore
from engine.pruning.methods import ALLOCATIONS, REFINEMENTS, SCORES, UPDATES, Allocation, Refinement, Score, Update, Updated
from engine.pruning.patterns import Group, Pattern, SemiStructured, Unstructured, parse_pattern
from engine.pruning.statistics import Need, Statistics
from engine.registry import Method


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
        allocation: str = "uniform",
        update: str = "none",
        refinement: str = "none",
        settings: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The plan of these names; `settings` are `method.parameter`, and what they leave out has its default."""
        chosen = (SCORES[score], ALLOCATIONS[allocation], UPDATES[update], REFINEMENTS[refinement])
        axes = ("score", "allocation", "update", "refinement")
        n_of_m = parse_pattern(pattern)
        return cls(
            chosen[0],
            Unstructured(group or chosen[0].default_group) if n_of_m is None else SemiStructured(*n_of_m),
            *chosen[1:],
            parameters={axis: _bound(method, settings or {}) for axis, method in zip(axes, chosen, strict=True)},
        )

    @property
    def needs(self) -> frozenset[Need]:
        """The statistics that the chosen methods declare."""
        return self.score.needs | self.update.needs | self.refinement.needs

    def ratios(self, target: float, sizes: Sequence[int]) -> tuple[float, ...]:
        """One sparsity a block; `sizes` are the blocks' prunable weights."""
        return tuple(self.allocation.function(target, sizes, **self.parameters["allocation"]))

    def prune(self, weight: Tensor, statistics: Statistics, sparsity: float) -> Updated:
        """Prune one linear's weight `[out, in]` (any dtype; the arithmetic is float32)."""
        weight = weight.to(torch.float32)
        source = self._source(weight, statistics, sparsity)
        return self.update.function(weight, statistics, source, **self.parameters["update"])

    def _source(self, weight: Tensor, statistics: Statistics, sparsity: float) -> MaskSource:
        score = partial(self.score.function, **self.parameters["score"])
        if self.score.running and self.refinement.name == "none" and self.pattern.step is not None:
            return Running(cast(RunningScore, score), statistics, self.pattern, sparsity)
        keep = self.pattern.keep(score(weight, statistics), sparsity)
        return Frozen(self.refinement.function(keep, weight, statistics, **self.parameters["refinement"]))


def _bound(method: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {parameter.name: settings.get(f"{method.name}.{parameter.name}", parameter.default) for parameter in method.parameters}
