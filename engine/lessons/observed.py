"""Inputs small enough to hold, seen as a run sees them: the engine's own `Statistics` of them, and the error
of an output.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from engine.pruning.statistics import Need, Statistics


def statistics_of(inputs: Tensor, needs: Collection[Need], weight: Tensor | None = None) -> Statistics:
    """Statistics of a linear's calibration inputs, `[windows, tokens, in]`, and of its outputs where its
    `weight` `[out, in]` is given.
    """
    windows, _, width = inputs.shape
    statistics = Statistics(width, windows, needs, inputs.device)
    statistics.update(inputs)
    if weight is not None:
        statistics.update_output(inputs @ weight.T)
    return statistics


def output_error(weight: Tensor, other: Tensor, inputs: Tensor) -> float:
    """`||X W^T - X W'^T|| / ||X W^T||` of two weights `[out, in]`, over inputs `[..., in]`; in float64."""
    dense = inputs.double() @ weight.double().T
    return float((dense - inputs.double() @ other.double().T).norm() / dense.norm())
