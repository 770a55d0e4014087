"""Lesson 4: what the weights that stay can do for those that go: nothing, SparseGPT's update column by
column, or the joint solution.

The updates are the engine's own, with their damping of 1 % of the mean of the Hessian's diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from engine.lessons.layer import Layer, Pruned, Table, example, output_error, table
from engine.pruning.patterns import Group

ROWS, COLUMNS = 8, 8
SEED, SPREAD, MIXING = 6, 1.5, 1.5
TOKENS, FRESH = 64, 4_000
UPDATES = {"Nothing": "none", "SparseGPT": "obs", "Joint": "mrp"}
CORRELATIONS = (*(place / 20 for place in range(20)), 0.99)
COUNTS = (6, 8, 12, 16, 24, 32, 64, 128, 256)
"""Calibration tokens that the curves are drawn through."""
LEFT_ALONE, OWN = "Left alone", "Joint, on its own tokens"
CHANGED = 0.005
"""A weight that moved by less looks the same with two decimals."""


@dataclass(frozen=True)
class Pair:
    """Two inputs of strength 1 with weights 1 and 1, the first weight gone: what the second becomes, and the
    errors without and with that.
    """

    survivor: float
    left: float
    updated: float


@dataclass(frozen=True)
class Weights:
    """A matrix under way or done.

    Attributes:
        kept: what has not been removed so far.
        moved: cells that stay and have another value than in the step before, where there is one.
        row_errors: each output's part of the error.
    """

    values: Table
    kept: tuple[tuple[bool, ...], ...]
    moved: tuple[tuple[int, int], ...]
    row_errors: tuple[float, ...]
    error: float


def pair(correlation: float) -> Pair:
    """Two inputs with exactly this correlation."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]])
    inputs = 2**0.5 * torch.linalg.cholesky(covariance).T  # two tokens whose mean square is the covariance
    layer_, keep = Layer(torch.ones(1, 2), inputs), torch.tensor([[False, True]])
    left, updated = layer_.masked(keep), layer_.updated(keep, "mrp")
    return Pair(float(updated.weight[0, 1]), left.error, updated.error)


def pairs() -> dict[str, tuple[float, ...]]:
    """The errors at each of `CORRELATIONS`, without and with the update."""
    found = [pair(correlation) for correlation in CORRELATIONS]
    return {LEFT_ALONE: tuple(each.left for each in found), "Updated": tuple(each.updated for each in found)}


@lru_cache(maxsize=1)
def layer() -> Layer:
    """The matrix of this lesson, with inputs that have much in common."""
    return with_tokens(TOKENS)


def after_columns(done: int) -> Weights:
    """SparseGPT's update under Wanda's mask, behind so many columns: what is to be removed later still has
    its weight.
    """
    before, now = _through(max(0, done - 1)), _through(done)
    return _weights(now, before.weight if done else now.weight)


def updated(name: str, sparsity: float) -> Weights:
    """The weights after one of `UPDATES` under Wanda's mask."""
    done = layer().updated(_mask(layer(), sparsity), UPDATES[name])
    return _weights(done, done.weight)


def errors(sparsity: float) -> dict[str, float]:
    """The output error after each of `UPDATES`, all under one mask."""
    keep = _mask(layer(), sparsity)
    return {name: layer().updated(keep, update).error for name, update in UPDATES.items()}


@lru_cache(maxsize=1)
def fresh_errors() -> dict[str, tuple[float, ...]]:
    """The output error on new tokens after each of `UPDATES` with each of `COUNTS` calibration tokens; also
    the joint one's on those themselves.
    """
    found: dict[str, list[float]] = {**{name: [] for name in UPDATES}, OWN: []}
    keep, fresh = _mask(with_tokens(FRESH), 0.5), with_tokens(FRESH).inputs[max(COUNTS) :]
    for count in COUNTS:
        short = Layer(layer().weight, with_tokens(FRESH).inputs[:count])
        for name, update in UPDATES.items():
            found[name].append(output_error(short, short.updated(keep, update).weight, fresh))
        found[OWN].append(short.updated(keep, "mrp").error)
    return {name: tuple(values) for name, values in found.items()}


@lru_cache(maxsize=4)
def with_tokens(tokens: int) -> Layer:
    """The same matrix with so many tokens of the same kind."""
    return example(SEED, rows=ROWS, columns=COLUMNS, tokens=tokens, spread=SPREAD, mixing=MIXING)


def _mask(drawn: Layer, sparsity: float) -> Tensor:
    return drawn.prune("wanda", sparsity, group=Group.ROW).keep


def _through(columns: int) -> Pruned:
    """With nothing to remove behind them, the update is what it is at this point of the whole one."""
    keep = _mask(layer(), 0.5).clone()
    keep[:, columns:] = True
    return layer().updated(keep, "obs")


def _weights(result: Pruned, before: Tensor) -> Weights:
    moved = ((result.weight - before).abs() > CHANGED) & result.keep
    kept = tuple(tuple(row) for row in result.keep.tolist())
    cells = tuple((row, column) for row, column in moved.nonzero().tolist())
    return Weights(table(result.weight), kept, cells, result.row_errors, result.error)
