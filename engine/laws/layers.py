"""Layers to try methods on: a plain one, and the edge cases that break careless code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt

import torch
from torch import Tensor, nn

from engine.models.block import Linear
from engine.pruning.observation import observe
from engine.pruning.patterns import parse_pattern
from engine.pruning.statistics import Need, Statistics


@dataclass(frozen=True)
class Layer:
    """A weight `[out, in]` and its calibration input `[windows, tokens, in]`."""

    weight: Tensor
    inputs: Tensor

    @property
    def width(self) -> int:
        """The number of input columns."""
        return self.weight.shape[1]


def random_layer(
    rows: int, width: int, *, windows: int = 3, tokens: int | None = None, seed: int = 0
) -> Layer:
    """Return a layer with correlated inputs of uneven strength, on which the methods differ."""
    generator = torch.Generator().manual_seed(1000 * seed + 7 * rows + width)
    tokens = tokens or 2 * width + 5
    mixing = torch.eye(width) + 0.3 * torch.randn(width, width, generator=generator) / sqrt(width)
    strength = torch.rand(width, generator=generator) * 3 + 0.1
    inputs = torch.randn(windows, tokens, width, generator=generator) @ mixing * strength
    return Layer(torch.randn(rows, width, generator=generator), inputs)


def collect_statistics(
    layer: Layer, needs: frozenset[Need] = frozenset(Need), batch: int = 2, device: str = "cpu"
) -> Statistics:
    """Return the statistics that a run collects, with `batch` windows per forward pass."""
    module = nn.Linear(layer.width, len(layer.weight), bias=False, device=device)
    module.weight.data = layer.weight.to(device, copy=True)
    windows, tokens, _ = layer.inputs.shape
    with (
        torch.no_grad(),
        observe(
            {"it": Linear("it", "it", module)}, windows, needs, sample=16, tokens=windows * tokens
        ) as statistics,
    ):
        for part in layer.inputs.split(batch):
            module(part.to(device))
    return statistics["it"]


def _modified(
    layer: Layer,
    *,
    weight: Callable[[Tensor], object] | None = None,
    inputs: Callable[[Tensor], object] | None = None,
) -> Layer:
    if weight is not None:
        weight(layer.weight)
    if inputs is not None:
        inputs(layer.inputs)
    return layer


def _dead_columns(inputs: Tensor) -> None:
    inputs[..., [0, 5, 6, inputs.shape[-1] - 1]] = 0


def _constant_inputs(inputs: Tensor) -> None:
    inputs.fill_(0.5)


def _outlier_input(inputs: Tensor) -> None:
    inputs[..., 3] *= 1e4


def _duplicate_columns(inputs: Tensor) -> None:
    inputs[..., 1::2] = inputs[..., 0::2]


def _zero_rows(weight: Tensor) -> None:
    weight[::3] = 0


EDGE_CASES: dict[str, Callable[[], Layer]] = {
    "plain": lambda: random_layer(12, 48),
    "narrow": lambda: random_layer(24, 8),
    "one-row": lambda: random_layer(1, 40),
    "wider-than-a-block": lambda: random_layer(6, 200, tokens=160),
    "two-blocks": lambda: random_layer(3, 256, windows=2, tokens=140),
    "odd-width": lambda: random_layer(7, 135),
    "one-column": lambda: random_layer(9, 1),
    "dead-columns": lambda: _modified(random_layer(12, 48), inputs=_dead_columns),
    "all-dead": lambda: _modified(random_layer(5, 16), inputs=lambda inputs: inputs.zero_()),
    "constant-inputs": lambda: _modified(random_layer(8, 32), inputs=_constant_inputs),
    "fewer-tokens-than-columns": lambda: random_layer(8, 64, windows=2, tokens=4),
    "one-token": lambda: random_layer(8, 32, windows=1, tokens=1),
    "duplicate-columns": lambda: _modified(random_layer(8, 32), inputs=_duplicate_columns),
    "zero-rows": lambda: _modified(random_layer(9, 32), weight=_zero_rows),
    "zero-weight": lambda: _modified(random_layer(4, 24), weight=lambda weight: weight.zero_()),
    "equal-weights": lambda: _modified(random_layer(6, 24), weight=lambda weight: weight.fill_(0.25)),
    "outlier-input": lambda: _modified(random_layer(8, 32), inputs=_outlier_input),
    "tiny-inputs": lambda: _modified(random_layer(8, 32), inputs=lambda inputs: inputs.mul_(1e-5)),
    "huge-inputs": lambda: _modified(random_layer(8, 32), inputs=lambda inputs: inputs.mul_(1e5)),
}


COMMON = "common"
"""The name of a layer that is no edge case."""


@cache
def edge_case(name: str) -> Layer:
    """Return the layer of an edge case, or the common one; it is not to be changed."""
    return random_layer(6, 136) if name == COMMON else EDGE_CASES[name]()


@cache
def edge_case_statistics(name: str, needs: frozenset[Need]) -> Statistics:
    """Return the statistics of an edge case, which may be shared."""
    return collect_statistics(edge_case(name), needs)


def fitting_edge_cases(pattern: str) -> Iterator[tuple[str, Layer]]:
    """Yield the edge cases whose width the pattern's m divides, with their names."""
    n_of_m = parse_pattern(pattern)
    for name in EDGE_CASES:
        if n_of_m is None or edge_case(name).width % n_of_m[1] == 0:
            yield name, edge_case(name)
