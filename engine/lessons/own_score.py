"""Lesson 9, first half: a score of the user's own against published ones on layers small enough to find the
best mask by trying all of them.

All scores compete within each row, so that only the scores differ. Nothing but the mask changes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from engine.lessons.best_row import best_of_row
from engine.lessons.layer import Layer, Pruned, Table, example, mask_table, statistics_of, table
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics

PUBLISHED = ("magnitude", "wanda", "ria")
"""The scores to beat, by registry name."""
USER = "formula"
"""The registry name of the user's score."""
BEST = "best"
"""Stands for the mask with the smallest error in each row."""
TITLES = {
    **{name: SCORES[name].title for name in PUBLISHED},
    USER: "Your formula",
    BEST: "Best possible mask",
}

HAND_WEIGHTS = ((0.9, -0.5, 0.7, 0.2), (0.6, 0.8, -0.3, -0.2))
HAND_COLUMN = 3
"""The input whose strength can be raised."""
HAND_STRENGTH = 8
HAND_PAIR = (0, 2, 3)
"""A row and two of its columns: magnitude removes the wrong one of these two weights."""

ROWS, COLUMNS, WINDOW = 6, 10, 4
"""Of the small layers; the last is the number of tokens in a calibration window."""
SEED, SPREAD, MIXING = 15, 2.0, 1.0
NORM = frozenset({Need.INPUT_NORM})
LAYERS = 50
"""How many other layers a score is tried on."""


@dataclass(frozen=True)
class Racer:
    """One mask of a layer.

    Attributes:
        name: a score's name in the registry, or `BEST`.
        kept: by row and column.
        error: the output error.
        row_errors: each row's part of it.
    """

    name: str
    kept: tuple[tuple[bool, ...], ...]
    error: float
    row_errors: tuple[float, ...]

    @property
    def title(self) -> str:
        return TITLES[self.name]

    def differences(self, other: Racer) -> tuple[tuple[int, int], ...]:
        """Return the cells that only one of the two masks keeps."""
        return tuple(
            (row, column)
            for row, (mine, theirs) in enumerate(zip(self.kept, other.kept, strict=True))
            for column, (one, two) in enumerate(zip(mine, theirs, strict=True))
            if one != two
        )


@dataclass(frozen=True)
class Race:
    """All masks of one layer.

    Attributes:
        weights: by row and column.
        strengths: a of each input, as a formula sees it.
        racers: the smallest error first.
    """

    weights: Table
    strengths: tuple[float, ...]
    racers: tuple[Racer, ...]

    def racer(self, name: str) -> Racer:
        return next(racer for racer in self.racers if racer.name == name)


@dataclass(frozen=True)
class Tally:
    """On how many of `LAYERS` layers one score has a smaller, the same or a larger error than another."""

    better: int
    same: int
    worse: int


def hand_race(strength: float) -> Race:
    """Prune half of each row of a layer of eight weights, whose inputs are uncorrelated.

    Args:
        strength: of the input in `HAND_COLUMN`; the others have 1.
    """
    return _race(hand_layer(strength), 0.5, None)


def hand_layer(strength: float) -> Layer:
    """Return the layer of eight weights."""
    signs = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).float()
    # The columns of a Hadamard matrix are orthogonal. Halved, each has the norm 1 over its four tokens.
    inputs = signs / 2
    inputs[:, HAND_COLUMN] *= strength
    return Layer(torch.tensor(HAND_WEIGHTS), inputs)


@lru_cache(maxsize=LAYERS + 1)
def small_layer(number: int = 0) -> Layer:
    """Return a layer of correlated inputs by its number; the user sees number 0."""
    return example(SEED + number, rows=ROWS, columns=COLUMNS, spread=SPREAD, mixing=MIXING)


@lru_cache(maxsize=64)
def small_race(formula: str, sparsity: float) -> Race:
    """Prune the layer that the user sees.

    Raises:
        FormulaError: the formula is not finite for one of its weights.
        ValueError: the formula is not accepted.
    """
    return _race(small_layer(), sparsity, formula)


@lru_cache(maxsize=64)
def tally(formula: str, sparsity: float, other: str = "wanda") -> Tally:
    """Compare the formula with a published score on `LAYERS` layers that the user does not see.

    Raises:
        FormulaError: the formula is not finite for a weight of one of them.
        ValueError: the formula is not accepted.
    """
    better = same = 0
    for number in range(1, LAYERS + 1):
        layer = small_layer(number)
        mine, theirs = _masked(layer, USER, sparsity, formula), _masked(layer, other, sparsity)
        if torch.equal(mine.keep, theirs.keep):
            same += 1
        else:
            better += mine.error < theirs.error
    return Tally(better, same, LAYERS - better - same)


def _race(layer: Layer, sparsity: float, formula: str | None) -> Race:
    found = {name: _masked(layer, name, sparsity) for name in PUBLISHED}
    if formula is not None:
        found[USER] = _masked(layer, USER, sparsity, formula)
    removed = int((~found[PUBLISHED[0]].keep[0]).sum())  # of each row, as the engine rounds it
    found[BEST] = layer.masked(best_mask(layer, removed))
    racers = [
        Racer(name, mask_table(pruned.keep), pruned.error, pruned.row_errors)
        for name, pruned in found.items()
    ]
    return Race(
        weights=table(layer.weight),
        strengths=tuple(_statistics(layer, NORM).input_norm.tolist()),
        racers=tuple(sorted(racers, key=lambda racer: racer.error)),
    )


def best_mask(layer: Layer, removed: int) -> Tensor:
    """Return the mask `[out, in]` with the smallest output error of all that remove so many weights of each
    row; the others are unchanged.
    """
    gram = layer.inputs.double().T @ layer.inputs.double()  # [in, in]
    return ~torch.stack([best_of_row(row, gram)[1][removed] for row in layer.weight.double()])


def _masked(layer: Layer, score: str, sparsity: float, formula: str | None = None) -> Pruned:
    """Prune a layer by a score within each row, as a run does."""
    settings = {} if formula is None else {f"{USER}.expression": formula}
    plan = Plan.of(score=score, group=Group.ROW, settings=settings)
    statistics = _statistics(layer, plan.needs)
    return layer.masked(plan.prune(layer.weight, statistics, sparsity).keep)


def _statistics(layer: Layer, needs: Collection[Need]) -> Statistics:
    windows = layer.inputs.unflatten(0, (-1, WINDOW))  # [windows, tokens, in]
    return statistics_of(windows, needs, layer.weight if Need.OUTPUT_NORM in needs else None)
