"""Lesson 1: an 8 x 8 layer that is pruned by hand, what each weight would cost, and a leaderboard with the
engine's scores.

The best mask of all is found exactly: the squared error is a sum over the rows, so the 256 masks of each row
are tried, and how many weights each row loses is settled by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import comb

import torch
from torch import Tensor

from engine.lessons.layer import Layer, Pruned, Table, example, table
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group

ROWS, COLUMNS = 8, 8
WEIGHTS = ROWS * COLUMNS
SEED = 14
OBS = "sparsegpt"
"""The name of the optimal brain surgeon's saliency."""
SCORE_NAMES = ("magnitude", "wanda", OBS)
COUNTS = range(4, 61, 4)
"""Numbers of removed weights that the curves are drawn through."""


@dataclass(frozen=True)
class Board:
    """What a person has pruned: the matrix, which weights stay, the output error and each row's part of it."""

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    strengths: tuple[float, ...]
    error: float
    row_errors: tuple[float, ...]


@dataclass(frozen=True)
class Entry:
    """A line of the leaderboard: whose mask, its error, and whether the weights that stay were changed as
    well.
    """

    name: str
    error: float
    updated: bool = False
    mine: bool = False


@lru_cache(maxsize=1)
def layer() -> Layer:
    """The layer of this lesson."""
    return example(SEED, rows=ROWS, columns=COLUMNS)


def board(removed: Collection[int]) -> Board:
    """The layer without the weights at these places, counted row by row from 0."""
    return _board(layer().masked(_mask(removed)))


def scored(score: str, count: int) -> Board:
    """The layer without the `count` weights of the lowest score, the others as they were."""
    return _board(_by_score(score, count))


def costs() -> Table:
    """The output error of removing each weight alone."""
    dense = (layer().inputs @ layer().weight.T).norm() / len(layer().inputs) ** 0.5
    return table(SCORES["wanda"].function(layer().weight, layer().statistics) / dense)


def curves() -> dict[str, tuple[float, ...]]:
    """The output error at each of `COUNTS`, by score, and of the best mask under `best`."""
    errors = {name: tuple(_by_score(name, count).error for count in COUNTS) for name in SCORE_NAMES}
    return errors | {"best": tuple(layer().masked(best_mask(count)).error for count in COUNTS)}


def leaderboard(removed: Collection[int]) -> tuple[Entry, ...]:
    """A person's mask beside those of the scores and the best of all, each with as many weights removed; the
    least error first.
    """
    count = len(removed)
    surgeon = layer().prune(OBS, count / WEIGHTS, group=Group.BLOCK, update="obs")
    best = best_mask(count)
    entries = [
        Entry("You", board(removed).error, mine=True),
        *(Entry(SCORES[name].title, _by_score(name, count).error) for name in SCORE_NAMES),
        Entry("The best mask of all", layer().masked(best).error),
        Entry("SparseGPT, mask and update", surgeon.error, updated=True),
        Entry("The best mask, then an update", layer().updated(best, "mrp").error, updated=True),
    ]
    return tuple(sorted(entries, key=lambda entry: entry.error))


def masks(count: int) -> int:
    """How many masks remove so many weights."""
    return comb(WEIGHTS, count)


@lru_cache(maxsize=WEIGHTS + 1)
def best_mask(count: int) -> Tensor:
    """The mask `[out, in]` with the least output error of all that remove `count` weights and leave the
    others as they were.
    """
    gram = layer().inputs.double().T @ layer().inputs.double()
    patterns = torch.tensor(list(product((False, True), repeat=COLUMNS)))  # removed, [2 ** columns, columns]
    least, chosen = [0.0], [torch.zeros(0, COLUMNS, dtype=torch.bool)]  # by how many the rows so far lose
    for weight in layer().weight.double():
        costs, removals = _best_of_row(weight, gram, patterns)
        ways = [_ways(least, costs, total) for total in range(min(len(least) + COLUMNS, count + 1))]
        chosen = [
            torch.cat([chosen[total - here], removals[here][None]]) for total, (_, here) in enumerate(ways)
        ]
        least = [cost for cost, _ in ways]
    return ~chosen[count]


def _best_of_row(weight: Tensor, gram: Tensor, patterns: Tensor) -> tuple[list[float], list[Tensor]]:
    """For each number of weights that a row `[in]` may lose: its least squared error, and what is removed
    then, `[in]` bool.
    """
    change = patterns * weight
    squares, sizes = ((change @ gram) * change).sum(1), patterns.sum(1)
    best = [int(squares.where(sizes == size, torch.inf).argmin()) for size in range(len(weight) + 1)]
    return [float(squares[at]) for at in best], [patterns[at] for at in best]


def _ways(least: list[float], costs: list[float], total: int) -> tuple[float, int]:
    """The least squared error of rows that lose `total` together, and how many of them the last row loses."""
    return min(
        (least[total - here] + cost, here)
        for here, cost in enumerate(costs)
        if 0 <= total - here < len(least)
    )


def _by_score(score: str, count: int) -> Pruned:
    return layer().prune(score, count / WEIGHTS, group=Group.LAYER)


def _mask(removed: Collection[int]) -> Tensor:
    keep = torch.ones(WEIGHTS, dtype=torch.bool)
    keep[list(removed)] = False
    return keep.view(ROWS, COLUMNS)


def _board(pruned: Pruned) -> Board:
    kept = tuple(tuple(row) for row in pruned.keep.tolist())
    return Board(table(pruned.layer.weight), kept, pruned.layer.strengths, pruned.error, pruned.row_errors)
