"""Sparsity patterns: which entries of a score matrix stay. True = stays, everywhere.

Counts are exact: a group of n entries loses `floor(n * s)`, never one more because of a tie with a threshold;
with a sparsity for each row, a row keeps `floor((1 - r) * n)`. Among equal scores the lower position in the
group (row-major, so the lower column within a row) is removed first. One count for all rows is a selection,
30 ms for 768 x 3072 on a CPU core; counts of their own take a sort of each row, about as fast by numpy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from math import floor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning.permutation import column_order

BLOCK_WIDTH = 128
ENTRIES_AT_ONCE = 1_000_000
"""Scores that are looked at together where their groups are apart: what is made on the way takes up to 26
bytes an entry.
"""
Sparsity = float | Tensor
"""One sparsity for all of a linear, or one a row, `[out]` float64: with fewer digits the decimals of a count
are lost.
"""


class Group(StrEnum):
    """The entries that compete with one another in an unstructured pattern."""

    LAYER = "layer"
    ROW = "row"
    BLOCK = "block"


class Pattern(Protocol):
    """A rule that turns scores into a mask."""

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]` at a sparsity."""

    @property
    def step(self) -> int | None:
        """How many columns a running mask source decides at once; None when it needs all of them."""


def removed(count: int, sparsity: float) -> int:
    """`floor(count * sparsity)`, as if computed with decimals (0.29 of 100 is 29, though 100 * 0.29 < 29 in
    binary).
    """
    return floor(round(count * sparsity, 6))


def removed_by_row(count: int, sparsity: Tensor) -> Tensor:
    """How many of `count` each row loses, int64 `[out]`: it keeps `floor((1 - sparsity) * count)`, with the
    decimal care of `removed`.
    """
    kept = ((1 - sparsity.to("cpu", torch.float64)) * count).round(decimals=6).floor()
    return (count - kept).clamp(0, count).long()


def remove_lowest(score: Tensor, count: int | Tensor) -> Tensor:
    """A mask that drops the `count` lowest of each row of `score`, `[groups, entries]`, the earlier first
    among equals.

    Args:
        count: one for all rows, or one a row `[groups]`.

    Raises:
        NumericsError: a score is not a number.
    """
    rows = max(1, ENTRIES_AT_ONCE // max(1, score.shape[1]))
    counts = count.split(rows) if isinstance(count, Tensor) else repeat(count)
    parts = [_remove_lowest(part, each) for part, each in zip(score.split(rows), counts, strict=False)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _remove_lowest(score: Tensor, count: int | Tensor) -> Tensor:
    _refuse_nan(score)
    entries = score.shape[1]
    if isinstance(count, int) and count <= 0:
        return torch.ones_like(score, dtype=torch.bool)
    if isinstance(count, int) and count >= entries:
        return torch.zeros_like(score, dtype=torch.bool)
    threshold = _lowest(score, count)  # [groups, 1]
    keep = score > threshold
    excess = entries - count - keep.sum(1)  # ties with the threshold that must stay, [groups]
    if excess.any():
        tied = score == threshold
        last_first = (
            tied.flip(1).cumsum(1).flip(1)
        )  # 1 for the last tied entry of the row, 2 for the one before it, ...
        keep |= tied & (last_first <= excess[:, None])
    return keep


def _refuse_nan(score: Tensor) -> None:
    if score.isnan().any():
        raise NumericsError(
            "Some scores are not numbers: activations overflowed. Try another dtype (float32 or bfloat16) or calibration text."
        )


def _lowest(score: Tensor, count: int | Tensor) -> Tensor:
    """The `count`-th lowest of each row, `[groups, 1]`; where a row's count is 0, its lowest."""
    if (
        score.device.type == "cpu"
        # numpy selects and sorts in vector registers: two to eight times as fast as torch, which makes indices
        # too
    ):
        values = score.numpy()
        if isinstance(count, int):
            return torch.from_numpy(np.partition(values, count - 1, axis=1)[:, count - 1 : count])
        ascending = torch.from_numpy(np.sort(values, axis=1))
    elif isinstance(count, int):
        return score.kthvalue(count, dim=1, keepdim=True).values
    else:
        ascending = score.sort(dim=1).values
    return ascending.gather(1, (count - 1).clamp(min=0)[:, None])


@dataclass(frozen=True)
class Unstructured:
    """The lowest entries of each comparison group, wherever they stand."""

    group: Group
    width: int = BLOCK_WIDTH

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]`.

        Raises:
            ValueError: there are sparsities of single rows, but not one for each, or entries of different
                rows compete.
            NumericsError: a score is not a number.
        """
        columns = score.shape[1]
        if isinstance(sparsity, Tensor):
            self._check_rows(sparsity, len(score))
            return remove_lowest(score, removed_by_row(columns, sparsity).to(score.device))
        if self.group is Group.ROW:
            return remove_lowest(score, removed(columns, sparsity))
        width = columns if self.group is Group.LAYER else self.width
        parts = [_keep_whole(part, sparsity) for part in score.split(width, dim=1)]
        return torch.cat(parts, dim=1)

    @property
    def step(self) -> int | None:
        return self.width if self.group is Group.BLOCK else None

    def _check_rows(self, sparsity: Tensor, rows: int) -> None:
        if self.group is not Group.ROW:
            raise ValueError(
                f"rows can have a sparsity each only where the weights of a row compete, not in the group {self.group.value}"
            )
        if sparsity.shape != (rows,):
            raise ValueError(
                f"expected one sparsity for each of {rows} rows, got the shape {list(sparsity.shape)}"
            )


def _keep_whole(score: Tensor, sparsity: float) -> Tensor:
    return remove_lowest(score.reshape(1, -1), removed(score.numel(), sparsity)).view(score.shape)


@dataclass(frozen=True)
class SemiStructured:
    """n:m - of each m consecutive columns of a row the n with the highest scores are kept (at most n
    non-zeros of m).

    With a `permutation` (`zigzag` or `assignment`, `engine.pruning.permutation`) they are consecutive in
    another order than they are stored in.
    """

    n: int
    m: int
    permutation: str = "none"

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]`; the sparsity follows from the pattern, so the argument
        is not used.

        Raises:
            NumericsError: columns are to be permuted and a score is not a number.
        """
        return self.keep_within(score, self.order(score))

    def order(self, score: Tensor) -> Tensor | None:
        """The order of the columns `[in]`, `order[place] = column`, in which each m consecutive ones are a
        group; None where they stay.

        Raises:
            NumericsError: columns are to be permuted and a score is not a number.
        """
        if self.permutation == "none":
            return None
        _refuse_nan(score)
        return column_order(score, self.n, self.m, self.permutation)

    def keep_within(self, score: Tensor, order: Tensor | None) -> Tensor:
        """As `keep`, in an order that is known already."""
        if order is None:
            return self._keep_consecutive(score)
        keep = torch.empty_like(score, dtype=torch.bool)
        keep[:, order] = self._keep_consecutive(score[:, order])
        return keep

    def _keep_consecutive(self, score: Tensor) -> Tensor:
        groups = score.reshape(-1, self.m)  # [out * in / m, m]
        ascending = groups.argsort(dim=1, stable=True)
        keep = torch.ones_like(groups, dtype=torch.bool)
        return keep.scatter_(1, ascending[:, : self.m - self.n], False).view(score.shape)

    @property
    def step(self) -> int | None:
        """m; None where columns are permuted, since a group then lies anywhere in its row."""
        return self.m if self.permutation == "none" else None

    @property
    def sparsity(self) -> float:
        return 1 - self.n / self.m


def parse_pattern(text: str) -> tuple[int, int] | None:
    """`(n, m)` of a pattern `n:m`, None for `unstructured`.

    Raises:
        ValueError: it is neither, or not 0 < n < m.
    """
    if text == "unstructured":
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        raise ValueError(f"expected 'unstructured' or n:m (for instance 2:4, two kept of four), got {text!r}")
    n, m = int(match[1]), int(match[2])
    if not 0 < n < m:
        raise ValueError(f"in n:m, n of each m consecutive weights are kept, so 0 < n < m; got {text}")
    return n, m
