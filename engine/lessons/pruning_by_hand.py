"""Lesson 1: an 8 × 8 layer pruned by hand, the cost of removing each weight, and a leaderboard with the
engine's scores.

The best mask is exact. The squared error is a sum over the rows, so all 256 masks of each row are tried, and
dynamic programming decides how many weights each row loses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import torch
from torch import Tensor

from engine.lessons.best_row import best_of_row
from engine.lessons.layer import Layer, Pruned, Table, example, mask_table, table
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group

ROWS, COLUMNS = 8, 8
WEIGHTS = ROWS * COLUMNS
SEED = 14
OBS = "sparsegpt"
"""The registry name of the optimal brain surgeon's saliency."""
SCORE_NAMES = ("magnitude", "wanda", OBS)
COUNTS = range(4, 61, 4)
"""Numbers of removed weights at which the error curves are computed."""


@dataclass(frozen=True)
class MaskedLayer:
    """The matrix, its mask, the strengths of its inputs, the output error and each row's part of it."""

    weights: Table
    kept: tuple[tuple[bool, ...], ...]
    strengths: tuple[float, ...]
    error: float
    row_errors: tuple[float, ...]


@dataclass(frozen=True)
class Entry:
    """A line of the leaderboard.

    Attributes:
        name: whose mask it is.
        error: the output error.
        updated: whether the kept weights were changed too.
        by_user: whether the user made this mask.
    """

    name: str
    error: float
    updated: bool = False
    by_user: bool = False


@lru_cache(maxsize=1)
def layer() -> Layer:
    """Return the layer of this lesson."""
    return example(SEED, rows=ROWS, columns=COLUMNS)


def without(removed: Collection[int]) -> MaskedLayer:
    """Return the layer without the weights at these positions, numbered row by row from 0."""
    keep = torch.ones(WEIGHTS, dtype=torch.bool)
    keep[list(removed)] = False
    return _masked_layer(layer().masked(keep.view(ROWS, COLUMNS)))


@lru_cache(maxsize=128)
def scored(score: str, count: int) -> MaskedLayer:
    """Return the layer without the `count` weights of the lowest score; the others are unchanged."""
    return _masked_layer(_by_score(score, count))


@lru_cache(maxsize=1)
def costs() -> Table:
    """Return the output error of removing each weight alone."""
    # Removing one weight changes the output by |w_ij| ‖X_j‖: Wanda's score, here relative to the output.
    # Its ‖X_j‖ is a root mean square over the tokens, so the output is divided alike.
    dense = (layer().inputs @ layer().weight.T).norm() / len(layer().inputs) ** 0.5
    return table(SCORES["wanda"].function(layer().weight, layer().statistics) / dense)


@lru_cache(maxsize=1)
def curves() -> dict[str, tuple[float, ...]]:
    """Return the output error at each of `COUNTS`, by score; that of the best mask is under `best`."""
    errors = {name: tuple(_by_score(name, count).error for count in COUNTS) for name in SCORE_NAMES}
    return errors | {"best": tuple(layer().masked(best_mask(count)).error for count in COUNTS)}


def leaderboard(removed: Collection[int]) -> tuple[Entry, ...]:
    """Rank the user's mask among those of the scores and the best mask, all with as many weights removed.

    Returns:
        The entries, the smallest error first.
    """
    count = len(removed)
    # SparseGPT's own group; the layer is narrower than a block of 128 columns, so all weights compete.
    surgeon = layer().prune(OBS, count / WEIGHTS, group=Group.BLOCK, update="obs")
    best = best_mask(count)
    entries = [
        Entry("You", without(removed).error, by_user=True),
        *(Entry(SCORES[name].title, _by_score(name, count).error) for name in SCORE_NAMES),
        Entry("Best possible mask", layer().masked(best).error),
        Entry("SparseGPT, mask and update", surgeon.error, updated=True),
        Entry("Best possible mask, then an update", layer().updated(best, "mrp").error, updated=True),
    ]
    return tuple(sorted(entries, key=lambda entry: entry.error))


def masks(count: int) -> int:
    """Return how many masks remove `count` weights."""
    return comb(WEIGHTS, count)


@lru_cache(maxsize=WEIGHTS + 1)
def best_mask(count: int) -> Tensor:
    """Return the mask `[out, in]` with the smallest output error of all that remove `count` weights.

    The kept weights are unchanged.
    """
    gram = layer().inputs.double().T @ layer().inputs.double()  # [in, in]
    # Entry n is the best way for the rows so far to lose n weights together: its squared error, and what it
    # removes, [rows so far, in].
    least, chosen = [0.0], [torch.zeros(0, COLUMNS, dtype=torch.bool)]
    for weight in layer().weight.double():
        row_costs, removals = best_of_row(weight, gram)
        # More than `count` removed weights are never needed.
        ways = [_best_split(least, row_costs, total) for total in range(min(len(least) + COLUMNS, count + 1))]
        chosen = [
            torch.cat([chosen[total - here], removals[here][None]]) for total, (_, here) in enumerate(ways)
        ]
        least = [cost for cost, _ in ways]
    return ~chosen[count]  # removed -> kept


def _best_split(least: list[float], row_costs: list[float], total: int) -> tuple[float, int]:
    """Return the least squared error of rows that lose `total` weights together, and how many of these the
    last row loses.
    """
    return min(
        (least[total - here] + cost, here)
        for here, cost in enumerate(row_costs)
        if 0 <= total - here < len(least)
    )


def _by_score(score: str, count: int) -> Pruned:
    return layer().prune(score, count / WEIGHTS, group=Group.LAYER)  # exact: 64 is a power of 2


def _masked_layer(pruned: Pruned) -> MaskedLayer:
    strengths = pruned.layer.strengths
    return MaskedLayer(
        table(pruned.layer.weight), mask_table(pruned.keep), strengths, pruned.error, pruned.row_errors
    )
