"""Lesson 2: a layer with one input that can be made louder, and how loud the inputs of the bundled model's
linears are.

The bundled model reads 8 windows of its calibration text, as in a run: 5 s with the import of its library,
most of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import torch
from torch import Tensor

from engine.inputs import dense_model, read_windows
from engine.lessons.layer import Layer, Table, example, table
from engine.progress import drain
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics, observe
from engine.recipe import Recipe

COLUMN = 4
"""The input that becomes loud."""
SMALL = 0.3
"""No weight of that input is larger: magnitude has no reason to keep them."""
SEED, SPREAD, MIXING = 5, 0.6, 0.3
SPARSITY = 0.5
STRENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SCORES = ("magnitude", "wanda")
WINDOWS = 8


@dataclass(frozen=True)
class Loud:
    """The layer at a strength, pruned by a score."""

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    strengths: tuple[float, ...]
    error: float

    @property
    def removed_there(self) -> int:
        """How many weights of the loud input are gone."""
        return sum(not row[COLUMN] for row in self.kept)


@dataclass(frozen=True)
class Inputs:
    """How strong the inputs of one of a model's linears are, and what two scores make of its output at
    `SPARSITY`.

    Attributes:
        strengths: the root mean square of each input over the calibration tokens.
        errors: the relative error of the output by score.
    """

    block: int
    linear: str
    strengths: tuple[float, ...]
    errors: dict[str, float]

    @property
    def loudest(self) -> int:
        return max(range(len(self.strengths)), key=lambda column: self.strengths[column])

    @property
    def ratio(self) -> float:
        """The loudest input over the median one."""
        return max(self.strengths) / median(self.strengths)


@lru_cache(maxsize=64)
def layer(strength: float) -> Layer:
    """The layer with the input of `COLUMN` so many times as loud as it was."""
    quiet = example(SEED, spread=SPREAD, mixing=MIXING)
    weight, inputs = quiet.weight.clone(), quiet.inputs.clone()
    weight[:, COLUMN].clamp_(-SMALL, SMALL)
    inputs[:, COLUMN] *= strength
    return Layer(weight, inputs)


def pruned(strength: float, score: str) -> Loud:
    """Half of the weights gone by a score, each compared within its usual group."""
    result = layer(strength).prune(score, SPARSITY)
    kept = tuple(tuple(row) for row in result.keep.tolist())
    return Loud(table(result.layer.weight), kept, result.layer.strengths, result.error)


def curves() -> dict[str, tuple[float, ...]]:
    """The output error at each of `STRENGTHS` by score."""
    return {score: tuple(pruned(strength, score).error for strength in STRENGTHS) for score in SCORES}


@torch.no_grad()
def inputs_of_model() -> tuple[Inputs, ...]:
    """What the linears of the bundled model read, in the model's order, dense throughout.

    Raises:
        PrunescopeError: the model or its text cannot be read.
    """
    recipe = Recipe.build(samples=WINDOWS, evaluation=None)
    model = dense_model(recipe)
    windows, _ = drain(read_windows(recipe, model, None))
    stream = model.record(windows.ids, WINDOWS)
    found = []
    for block in model.blocks:
        with observe(block.linears, WINDOWS, {Need.INPUT_NORM, Need.HESSIAN}) as seen:
            stream.advance(block)
        found += [
            _inputs(block.index, name, block.linears[name].weight, statistics)
            for name, statistics in seen.items()
        ]
    return tuple(found)


def _inputs(block: int, linear: str, weight: Tensor, statistics: Statistics) -> Inputs:
    mean_square = statistics.input_norm.square() * statistics.windows / statistics.tokens
    errors = {
        score: _error(
            weight, Plan.of(score=score).prune(weight, statistics, SPARSITY).weight, statistics.hessian
        )
        for score in SCORES
    }
    return Inputs(block, linear, tuple(mean_square.sqrt().tolist()), errors)


def _error(dense: Tensor, weight: Tensor, hessian: Tensor) -> float:
    """`‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖` from `H`, a multiple of `XᵀX`."""
    change = dense.float() - weight
    return float((_square(change, hessian) / _square(dense.float(), hessian)).sqrt())


def _square(weight: Tensor, hessian: Tensor) -> Tensor:
    return ((weight @ hessian) * weight).sum()


def shared_loudest(inputs: Sequence[Inputs]) -> tuple[int, int]:
    """The input that is the loudest of the most linears, and of how many."""
    places = [each.loudest for each in inputs]
    common = max(set(places), key=places.count)
    return common, places.count(common)
