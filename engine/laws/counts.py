"""How many weights of each comparison group are to be removed: counted one by one, apart from the code that
selects them.
"""

from __future__ import annotations

from decimal import Decimal

from torch import Tensor

from engine.pruning.patterns import parse_pattern

BLOCK = 128
"""Columns of a comparison group `block`."""


def floor_share(count: int, sparsity: float) -> int:
    """Return `floor(count * sparsity)` in decimal arithmetic, so that 0.29 of 100 is 29."""
    return int(Decimal(count) * Decimal(str(sparsity)))


def groups(rows: int, width: int, pattern: str, group: str | None) -> list[list[tuple[int, int]]]:
    """Return the entries that compete with each other, per group, each in row-major order."""
    n_of_m = parse_pattern(pattern)
    if n_of_m is not None:
        return [
            [(i, j) for j in range(start, start + n_of_m[1])]
            for i in range(rows)
            for start in range(0, width, n_of_m[1])
        ]
    if group == "row":
        return [[(i, j) for j in range(width)] for i in range(rows)]
    if group == "block":
        return [
            [(i, j) for i in range(rows) for j in range(start, min(start + BLOCK, width))]
            for start in range(0, width, BLOCK)
        ]
    return [[(i, j) for i in range(rows) for j in range(width)]]


def removed_per_group(mask: Tensor, pattern: str, group: str | None) -> list[tuple[int, int]]:
    """Return for each group the number of removed entries and its size."""
    kept = mask.tolist()
    return [
        (sum(not kept[i][j] for i, j in entries), len(entries))
        for entries in groups(len(mask), mask.shape[1], pattern, group)
    ]


def removed_count(entries: int, pattern: str, sparsity: float) -> int:
    """Return how many weights a group of this size loses."""
    n_of_m = parse_pattern(pattern)
    return floor_share(entries, sparsity) if n_of_m is None else n_of_m[1] - n_of_m[0]
