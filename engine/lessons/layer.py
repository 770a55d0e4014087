"""A linear layer small enough to display, pruned by the engine's own methods.

Each calibration token counts as one window, so the activation norm a_j is the root mean square of feature j
and easy to read. Scores, masks and updates come from `engine.pruning`, through the same `Plan` that a run
uses; only the output error is computed here, in float64.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor

from engine.pruning.axes import UPDATES, FrozenMask
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

    # Works on a frozen dataclass, because `cached_property` writes to `__dict__`.
    @cached_property
    def statistics(self) -> Statistics:
        """The calibration statistics that a run would collect from these inputs."""
        return statistics_of(
            self.inputs[:, None, :], NEEDS
        )  # [windows, tokens per window, in], one token each

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
        """Prune the weight as a run with these choices would."""
        outcome = Plan.of(score=score, group=group, pattern=pattern, update=update).prune(
            self.weight, self.statistics, sparsity
        )
        return Pruned(self, outcome.weight, outcome.keep)

    def masked(self, keep: Tensor) -> Pruned:
        """Zero the weights that a mask `[out, in]` removes and leave the others unchanged."""
        return self.updated(keep, "none")

    def updated(self, keep: Tensor, update: str) -> Pruned:
        """Apply a weight update under a fixed mask `[out, in]`."""
        return Pruned(
            self, UPDATES[update].function(self.weight, self.statistics, FrozenMask(keep)).weight, keep
        )


@dataclass(frozen=True)
class Pruned:
    """A layer with pruned weights `[out, in]` and their mask `[out, in]`, True = kept."""

    layer: Layer
    weight: Tensor
    keep: Tensor

    @property
    def error(self) -> float:
        """`‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` over the layer's calibration inputs."""
        return output_error(self.layer.weight, self.weight, self.layer.inputs)

    @property
    def row_errors(self) -> tuple[float, ...]:
        """Each output's part of the error; their squares add up to the square of the error."""
        inputs = self.layer.inputs.double()
        change = inputs @ (self.layer.weight - self.weight).double().T  # [tokens, out]
        dense = inputs @ self.layer.weight.double().T  # [tokens, out]
        return tuple((change.norm(dim=0) / dense.norm()).tolist())


def statistics_of(inputs: Tensor, needs: Collection[Need], weight: Tensor | None = None) -> Statistics:
    """Return the engine's statistics of a linear's inputs `[windows, tokens, in]`.

    Args:
        inputs: the calibration inputs.
        needs: which statistics to collect.
        weight: `[out, in]`; if given, the statistics of the outputs are collected too.
    """
    windows, _, width = inputs.shape
    statistics = Statistics(width, windows, needs, inputs.device)
    statistics.update(inputs)
    if weight is not None:
        statistics.update_output(inputs @ weight.T)
    return statistics


def output_error(weight: Tensor, other: Tensor, inputs: Tensor) -> float:
    """Return `‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` of two weights `[out, in]` over inputs `[..., in]`, in float64."""
    dense = inputs.double() @ weight.double().T
    return float((dense - inputs.double() @ other.double().T).norm() / dense.norm())


def example(
    seed: int, *, rows: int = 8, columns: int = 8, tokens: int = 64, spread: float = 3.0, mixing: float = 0.7
) -> Layer:
    """Draw a random layer: weights with one decimal, none of them 0, and correlated, uneven inputs.

    Args:
        seed: the same seed draws the same layer.
        rows, columns, tokens: the sizes.
        spread: the natural logarithm of the ratio of the strongest input to the weakest, before mixing.
        mixing: how much of the other inputs is mixed into each.
    """
    # The order of the draws is part of a seed's result; the tokens come last, so that their number changes
    # nothing else.
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows, columns, generator=generator) / 2  # [out, in]
    # A weight of 0 would look pruned, so the size is at least one tenth.
    tenths = (10 * drawn).round().abs().clamp(1, 15) * torch.where(drawn < 0, -1, 1)
    # [in, in]; 1 / sqrt(in) keeps the mixed part independent of the width.
    blend = torch.eye(columns) + mixing * torch.randn(columns, columns, generator=generator) / sqrt(columns)
    order = torch.randperm(columns, generator=generator)
    # [in], from exp(-spread / 2) to exp(spread / 2).
    strength = (torch.linspace(-0.5, 0.5, columns)[order] * spread).exp()
    return Layer(tenths / 10, torch.randn(tokens, columns, generator=generator) @ blend * strength)


def table(values: Tensor) -> Table:
    """Return a matrix `[rows, columns]` as plain numbers."""
    return tuple(tuple(row) for row in values.tolist())


def mask_table(keep: Tensor) -> tuple[tuple[bool, ...], ...]:
    """Return a mask `[rows, columns]` as plain booleans."""
    return tuple(tuple(row) for row in keep.tolist())
