"""Lesson 4: how the remaining weights can compensate for the removed ones: not at all, by SparseGPT's update
column by column, or by the joint solution.

The updates are the engine's own, damped by 1 % of the mean of the Hessian's diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from engine.lessons.layer import Layer, Pruned, Table, example, mask_table, output_error, table
from engine.pruning.patterns import Group

ROWS, COLUMNS = 8, 8
SEED, SPREAD, MIXING = 6, 1.5, 1.5
TOKENS, FRESH = 64, 4_000
UPDATES = {"Nothing": "none", "SparseGPT": "obs", "Joint": "mrp"}
"""Registry names by the label that the page shows; the label is also a value in the page's address."""
CORRELATIONS = (*(step / 20 for step in range(20)), 0.99)  # at 1 the covariance would be singular
COUNTS = (6, 8, 12, 16, 24, 32, 64, 128, 256)
"""Numbers of calibration tokens at which the error curves are computed."""
UNCHANGED, UPDATED = "Unchanged", "Updated"
ON_CALIBRATION = "Joint, on calibration tokens"
CHANGED = 0.005
"""A weight that moves by less looks the same with two decimals."""


@dataclass(frozen=True)
class Pair:
    """Two inputs of strength 1 with weights 1 and 1; the first weight is removed.

    Attributes:
        second: the updated second weight.
        unchanged: the output error if the second weight stays 1.
        updated: the output error after the update.
    """

    second: float
    unchanged: float
    updated: float


@dataclass(frozen=True)
class Weights:
    """A matrix during or after an update.

    Attributes:
        kept: the weights that have not been removed so far.
        moved: kept cells whose value differs from that of the step before, if there is one.
        row_errors: each output's part of the error.
    """

    values: Table
    kept: tuple[tuple[bool, ...], ...]
    moved: tuple[tuple[int, int], ...]
    row_errors: tuple[float, ...]
    error: float


@lru_cache(maxsize=128)
def pair(correlation: float) -> Pair:
    """Remove the first weight of two inputs with exactly this correlation."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]])
    inputs = 2**0.5 * torch.linalg.cholesky(covariance).T  # two tokens whose mean square is the covariance
    two, keep = Layer(torch.ones(1, 2), inputs), torch.tensor([[False, True]])  # one output, [1, 2]
    unchanged, updated = two.masked(keep), two.updated(keep, "mrp")
    return Pair(float(updated.weight[0, 1]), unchanged.error, updated.error)


@lru_cache(maxsize=1)
def pairs() -> dict[str, tuple[float, ...]]:
    """Return the errors at each of `CORRELATIONS`, without and with the update."""
    results = [pair(correlation) for correlation in CORRELATIONS]
    return {
        UNCHANGED: tuple(each.unchanged for each in results),
        UPDATED: tuple(each.updated for each in results),
    }


@lru_cache(maxsize=1)
def layer() -> Layer:
    """Return the matrix of this lesson, whose inputs are strongly correlated."""
    return with_tokens(TOKENS)


@lru_cache(maxsize=COLUMNS + 1)
def after_columns(done: int) -> Weights:
    """Return SparseGPT's update under Wanda's mask, stopped after `done` columns.

    Weights that are removed in later columns still have a value.
    """
    before, now = _through(max(0, done - 1)), _through(done)
    # Before the first column, nothing has moved.
    return _weights(now, before.weight if done else now.weight)


@lru_cache(maxsize=64)
def updated(name: str, sparsity: float) -> Weights:
    """Return the weights after one of `UPDATES` under Wanda's mask."""
    done = layer().updated(_mask(layer(), sparsity), UPDATES[name])
    return _weights(done, done.weight)


@lru_cache(maxsize=16)
def errors(sparsity: float) -> dict[str, float]:
    """Return the output error after each of `UPDATES`, all under one mask."""
    keep = _mask(layer(), sparsity)
    return {name: layer().updated(keep, update).error for name, update in UPDATES.items()}


@lru_cache(maxsize=1)
def fresh_errors() -> dict[str, tuple[float, ...]]:
    """Return the output error on new tokens, by update, at each of `COUNTS` calibration tokens.

    `ON_CALIBRATION` is the joint update's error on the calibration tokens themselves.
    """
    results: dict[str, list[float]] = {**{name: [] for name in UPDATES}, ON_CALIBRATION: []}
    # The new tokens come after the largest calibration set, so they never overlap.
    # One mask for all counts, so that only the update depends on the number of tokens.
    keep, fresh = _mask(with_tokens(FRESH), 0.5), with_tokens(FRESH).inputs[max(COUNTS) :]
    for count in COUNTS:
        short = Layer(layer().weight, with_tokens(FRESH).inputs[:count])
        for name, update in UPDATES.items():
            results[name].append(output_error(short.weight, short.updated(keep, update).weight, fresh))
        results[ON_CALIBRATION].append(short.updated(keep, "mrp").error)
    return {name: tuple(values) for name, values in results.items()}


@lru_cache(maxsize=4)
def with_tokens(tokens: int) -> Layer:
    """Return the same matrix with this many tokens of the same distribution."""
    # `example` draws the tokens last, so their number does not change the matrix.
    return example(SEED, rows=ROWS, columns=COLUMNS, tokens=tokens, spread=SPREAD, mixing=MIXING)


def _mask(drawn: Layer, sparsity: float) -> Tensor:
    return drawn.prune("wanda", sparsity, group=Group.ROW).keep


def _through(columns: int) -> Pruned:
    """Run SparseGPT's update up to a column.

    A mask that removes nothing in later columns gives the state in which the full update passes this column.
    """
    keep = _mask(layer(), 0.5).clone()
    keep[:, columns:] = True
    return layer().updated(keep, "obs")


def _weights(result: Pruned, before: Tensor) -> Weights:
    moved = ((result.weight - before).abs() > CHANGED) & result.keep
    cells = tuple((row, column) for row, column in moved.nonzero().tolist())
    return Weights(table(result.weight), mask_table(result.keep), cells, result.row_errors, result.error)
