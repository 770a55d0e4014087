"""Lesson 2: a layer with one input whose strength can be raised, and the input strengths of the bundled
model's linears.

The bundled model reads 8 windows of its calibration text, as in a run. This takes 5 s, most of it for
importing the model library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import torch
from torch import Tensor

from engine.inputs import dense_model, read_windows
from engine.lessons.layer import Layer, Table, example, mask_table, table
from engine.progress import drain
from engine.pruning.observation import observe
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics
from engine.recipe import Recipe

COLUMN = 4
"""The input whose strength is raised."""
SMALL = 0.3
"""The largest weight of that input: small enough that magnitude has no reason to keep any."""
SEED, SPREAD, MIXING = 5, 0.6, 0.3
SPARSITY = 0.5
STRENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SCORES = ("magnitude", "wanda")
WINDOWS = 8


@dataclass(frozen=True)
class OutlierLayer:
    """The layer at one strength of the outlier, pruned by a score."""

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    strengths: tuple[float, ...]
    error: float

    @property
    def removed_from_outlier(self) -> int:
        """How many weights of the outlier input are removed."""
        return sum(not row[COLUMN] for row in self.kept)


@dataclass(frozen=True)
class Inputs:
    """The input strengths of one of a model's linears, and the output error of two scores at `SPARSITY`.

    Attributes:
        block: the block's number, from 0.
        linear: the linear's name within the block.
        strengths: the root mean square of each input over the calibration tokens.
        errors: the relative output error by score.
    """

    block: int
    linear: str
    strengths: tuple[float, ...]
    errors: dict[str, float]

    @property
    def strongest(self) -> int:
        return max(range(len(self.strengths)), key=lambda column: self.strengths[column])

    @property
    def ratio(self) -> float:
        """The strength of the strongest input over the median strength."""
        return max(self.strengths) / median(self.strengths)


@lru_cache(maxsize=64)
def layer(strength: float) -> Layer:
    """Return the layer with the input of `COLUMN` multiplied by `strength`."""
    plain = example(SEED, spread=SPREAD, mixing=MIXING)
    weight, inputs = plain.weight.clone(), plain.inputs.clone()
    weight[:, COLUMN].clamp_(-SMALL, SMALL)  # a column of [out, in] is an input
    inputs[:, COLUMN] *= strength
    return Layer(weight, inputs)


@lru_cache(maxsize=64)
def pruned(strength: float, score: str) -> OutlierLayer:
    """Remove half of the weights by a score, within the score's default comparison group."""
    result = layer(strength).prune(score, SPARSITY)
    return OutlierLayer(
        table(result.layer.weight), mask_table(result.keep), result.layer.strengths, result.error
    )


@lru_cache(maxsize=1)
def curves() -> dict[str, tuple[float, ...]]:
    """Return the output error at each of `STRENGTHS`, by score."""
    return {score: tuple(pruned(strength, score).error for strength in STRENGTHS) for score in SCORES}


@torch.no_grad()
def inputs_of_model() -> tuple[Inputs, ...]:
    """Measure the inputs of the bundled model's linears, in the model's order; every block stays dense.

    Raises:
        PrunescopeError: the model or its text cannot be read.
    """
    recipe = Recipe.build(samples=WINDOWS, evaluation=None)
    model = dense_model(recipe)
    windows, _ = drain(read_windows(recipe, model, None))
    stream = model.record(windows.ids, WINDOWS)  # one batch
    measured = []
    for block in model.blocks:
        with observe(block.linears, WINDOWS, {Need.INPUT_NORM, Need.HESSIAN}) as observed:
            stream.advance(block)
        measured += [
            _inputs(block.index, name, block.linears[name].weight, statistics)
            for name, statistics in observed.items()
        ]
    return tuple(measured)


def _inputs(block: int, linear: str, weight: Tensor, statistics: Statistics) -> Inputs:
    # The engine's norm is per window; the lesson shows it per token.
    mean_square = statistics.input_norm.square() * statistics.windows / statistics.tokens
    errors = {
        score: _error(
            weight, Plan.of(score=score).prune(weight, statistics, SPARSITY).weight, statistics.hessian
        )
        for score in SCORES
    }
    return Inputs(block, linear, tuple(mean_square.sqrt().tolist()), errors)


def _error(dense: Tensor, weight: Tensor, hessian: Tensor) -> float:
    """Return `‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` from `H`, any multiple of `XᵀX`."""
    change = dense.float() - weight
    return float((_square(change, hessian) / _square(dense.float(), hessian)).sqrt())


def _square(weight: Tensor, hessian: Tensor) -> Tensor:
    return ((weight @ hessian) * weight).sum()  # trace of W H Wᵀ


def shared_strongest(inputs: Sequence[Inputs]) -> tuple[int, int]:
    """Return the feature that is the strongest input of the most linears, and of how many."""
    strongest = [each.strongest for each in inputs]
    common = max(set(strongest), key=strongest.count)
    return common, strongest.count(common)
