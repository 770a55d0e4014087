"""Lessons 5 and 8: does what the bundled model shows also hold on a real language model?

Perplexities of two models cannot be compared, so each is divided by that of its own dense model. This module
prunes nothing: all runs are bundled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from engine.record import RunRecord

MOSTLY = 0.75
"""Share of the pairs from which on two orders are mostly the same."""


@dataclass(frozen=True)
class OnBoth:
    """A way to prune, on both models.

    Attributes:
        name: what it is called.
        bundled, real: pruned / dense perplexity.
    """

    name: str
    bundled: float
    real: float


def on_both(runs: Mapping[str, tuple[RunRecord, RunRecord]]) -> tuple[OnBoth, ...]:
    """Return the ratios by name, the best on the real model first.

    Args:
        runs: by name, the finished run of the bundled model and that of the real one.
    """
    found = [
        OnBoth(name, bundled.ratio, real.ratio)
        for name, (bundled, real) in runs.items()
        if bundled.ratio is not None and real.ratio is not None
    ]
    return tuple(sorted(found, key=lambda one: one.real))


def pairs_in_order(found: Sequence[OnBoth]) -> tuple[int, int]:
    """Return how many pairs have the same order on both models, and how many pairs there are."""
    pairs = list(combinations(found, 2))
    same = sum((one.bundled < other.bundled) == (one.real < other.real) for one, other in pairs)
    return same, len(pairs)


def agreement(found: Sequence[OnBoth]) -> int:
    """Return how well the two orders agree: 0 fully, 1 mostly, 2 less than that."""
    same, pairs = pairs_in_order(found)
    return 0 if same == pairs else 1 if same >= MOSTLY * pairs else 2


def better_than(found: Sequence[OnBoth], name: str) -> tuple[list[str], list[str]]:
    """Return the names that are better than this one, on the bundled model and on the real one."""
    base = next(one for one in found if one.name == name)
    return (
        [one.name for one in found if one.bundled < base.bundled],
        [one.name for one in found if one.real < base.real],
    )
