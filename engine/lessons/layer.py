"""A linear layer small enough to see, and what the engine's own methods make of it.

Its calibration inputs count as one window a token, so that the activation norm a_j is the root mean square of
a feature and stays readable. Scores, masks and updates are those of `engine.pruning`, through the same `Plan`
as in a run; only the error is worked out here, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor

from engine.lessons import observed
from engine.pruning.axes import UPDATES
from engine.pruning.masks import Frozen
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics

Table = tuple[tuple[float, ...], ...]
"""Numbers by row and column."""
NEEDS = frozenset({Need.INPUT_NORM, Need.HESSIAN})


@dataclass(frozen=True)
class Layer:
    """A weight `[out, in]` and its calibration inputs `[tokens, in]`, both float32."""

    weight: Tensor
    inputs: Tensor

    @cached_property
    def statistics(self) -> Statistics:
        """What a run would know of the inputs."""
        tokens, width = self.inputs.shape
        statistics = Statistics(width, tokens, NEEDS, self.inputs.device)
        statistics.update(self.inputs[:, None, :])  # [windows, tokens of a window, in]
        return statistics

    @property
    def strengths(self) -> tuple[float, ...]:
        """a_j, the root mean square of each input."""
        return tuple(self.statistics.input_norm.tolist())

    def prune(
        self,
        score: str,
        sparsity: float,
        *,
        group: Group | None = None,
        pattern: str = "unstructured",
        update: str = "none",
    ) -> Pruned:
        """What a run with these choices does to the weight."""
        outcome = Plan.of(score=score, group=group, pattern=pattern, update=update).prune(
            self.weight, self.statistics, sparsity
        )
        return Pruned(self, outcome.weight, outcome.keep)

    def masked(self, keep: Tensor) -> Pruned:
        """The weight without what a mask `[out, in]` removes, the rest as it was."""
        return self.updated(keep, "none")

    def updated(self, keep: Tensor, update: str) -> Pruned:
        """What an update makes of the weight under a mask `[out, in]` that is decided."""
        return Pruned(self, UPDATES[update].function(self.weight, self.statistics, Frozen(keep)).weight, keep)


@dataclass(frozen=True)
class Pruned:
    """A layer with other weights `[out, in]`, and the mask `[out, in]`, True = stays."""

    layer: Layer
    weight: Tensor
    keep: Tensor

    @property
    def error(self) -> float:
        """`‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` over the layer's calibration inputs."""
        return output_error(self.layer, self.weight)

    @property
    def row_errors(self) -> tuple[float, ...]:
        """Each output's part of the error; the squares of all of them add up to the square of the error."""
        wide = self.layer.inputs.double()
        change = wide @ (self.layer.weight - self.weight).double().T  # [tokens, out]
        dense = wide @ self.layer.weight.double().T
        return tuple((change.norm(dim=0) / dense.norm()).tolist())


def output_error(layer: Layer, weight: Tensor, inputs: Tensor | None = None) -> float:
    """`‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` for another weight `[out, in]`, over the calibration inputs or over others
    `[tokens, in]`.
    """
    return observed.output_error(layer.weight, weight, layer.inputs if inputs is None else inputs)


def example(
    seed: int, *, rows: int = 8, columns: int = 8, tokens: int = 64, spread: float = 3.0, mixing: float = 0.7
) -> Layer:
    """A layer drawn at random: weights of one decimal, none of them 0, and inputs that are correlated and of
    uneven strength.

    Args:
        spread: the natural logarithm of the strongest input over the weakest, before they are mixed.
        mixing: how much of the others each input has in it.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows, columns, generator=generator) / 2
    tenths = (10 * drawn).round().abs().clamp(1, 15) * torch.where(drawn < 0, -1, 1)
    blend = torch.eye(columns) + mixing * torch.randn(columns, columns, generator=generator) / sqrt(columns)
    order = torch.randperm(columns, generator=generator)
    strength = (torch.linspace(-0.5, 0.5, columns)[order] * spread).exp()
    return Layer(tenths / 10, torch.randn(tokens, columns, generator=generator) @ blend * strength)


def table(values: Tensor) -> Table:
    """A matrix `[rows, columns]` as plain numbers."""
    return tuple(tuple(row) for row in values.tolist())
