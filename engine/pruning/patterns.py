"""Sparsity patterns: which entries of a score matrix stay. True = stays, everywhere.

Counts are exact: a group of n entries loses `floor(n * s)`, never one more because of a tie with a threshold. Among equal scores the lower
position in the group (row-major, so the lower column within a row) is removed first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from math import floor
from typing import Protocol

import torch
from torch import Tensor

from engine.errors import NumericsError

BLOCK_WIDTH = 128


class Group(StrEnum):
    """The entries that compete with one another in an unstructured pattern."""

    LAYER = "layer"
    ROW = "row"
    BLOCK = "block"


class Pattern(Protocol):
    """A rule that turns scores into a mask."""

    def keep(self, score: Tensor, sparsity: float) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]` at a sparsity."""

    @property
    def step(self) -> int | None:
        """How many columns a running mask source decides at once; None when it needs all of them."""


def removed(count: int, sparsity: float) -> int:
    """`floor(count * sparsity)`, as if computed with decimals (0.29 of 100 is 29, though 100 * 0.29 < 29 in binary)."""
    return floor(round(count * sparsity, 6))


def remove_lowest(score: Tensor, count: int) -> Tensor:
    """A mask that drops the `count` lowest of each row of `score`, `[groups, entries]`, the earlier first among equals.

    Raises:
        NumericsError: a score is not a number.
    """
    if score.isnan().any():
        raise NumericsError("Some scores are not numbers: activations overflowed. Try another dtype (float32 or bfloat16) or calibration text.")
    entries = score.shape[1]
    if count <= 0:
        return torch.ones_like(score, dtype=torch.bool)
    if count >= entries:
        return torch.zeros_like(score, dtype=torch.bool)
    threshold = score.kthvalue(count, dim=1, keepdim=True).values  # [groups, 1]
    keep = score > threshold
    excess = entries - count - keep.sum(1)  # ties with the threshold that must stay, [groups]
    if excess.any():
        tied = score == threshold
        last_first = tied.flip(1).cumsum(1).flip(1)  # 1 for the last tied entry of the row, 2 for the one before it, ...
        keep |= tied & (last_first <= excess[:, None])
    return keep


@dataclass(frozen=True)
class Unstructured:
    """The lowest entries of each comparison group, wherever they stand."""

    group: Group
    width: int = BLOCK_WIDTH

    def keep(self, score: Tensor, sparsity: float) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]`."""
        columns = score.shape[1]
        if self.group is Group.ROW:
            return remove_lowest(score, removed(columns, sparsity))
        width = columns if self.group is Group.LAYER else self.width
        parts = [_keep_whole(part, sparsity) for part in score.split(width, dim=1)]
        return torch.cat(parts, dim=1)

    @property
    def step(self) -> int | None:
        return self.width if self.group is Group.BLOCK else None


def _keep_whole(score: Tensor, sparsity: float) -> Tensor:
    return remove_lowest(score.reshape(1, -1), removed(score.numel(), sparsity)).view(score.shape)


@dataclass(frozen=True)
class SemiStructured:
    """n:m - of each m consecutive columns of a row the n with the highest scores are kept (at most n non-zeros of m)."""

    n: int
    m: int

    def keep(self, score: Tensor, sparsity: float) -> Tensor:
        """The mask `[out, in]` of a score `[out, in]`; the sparsity follows from the pattern, so the argument is not used."""
        groups = score.reshape(-1, self.m)  # [out * in / m, m]
        order = groups.argsort(dim=1, stable=True)
        keep = torch.ones_like(groups, dtype=torch.bool)
        return keep.scatter_(1, order[:, : self.m - self.n], False).view(score.shape)

    @property
    def step(self) -> int | None:
        return self.m

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
