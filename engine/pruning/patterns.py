"""Sparsity patterns: rules that turn a score matrix into a mask. In every mask True means kept.

Counts are exact: a group of n entries loses `floor(n * s)` of them, never one more because of a tie with a
threshold; with one sparsity per row, a row keeps `floor((1 - r) * n)`. Among equal scores the lower position
in the group (row-major, so the lower column within a row) is removed first. Weights that were quantised once
have so many equal magnitudes that this rule affects the result, so the weights that it decides about are
counted. `engine.pruning.selection` selects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from math import floor
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch

from engine.pruning.permutation import column_order
from engine.pruning.selection import Selection, refuse_nan, remove_lowest, remove_lowest_of_few

if TYPE_CHECKING:
    from torch import Tensor


DEFAULT_SPARSITY = 0.5
UNSTRUCTURED = "unstructured"
BLOCK_WIDTH = 128  # columns; SparseGPT's mask block B_s, which works best for it (arXiv 2301.00774)
Sparsity: TypeAlias = "float | Tensor"
"""One sparsity for the whole linear, or one per row, `[out]` float64: float32 would lose the decimals that
decide a count.
"""


class Group(StrEnum):
    """The entries that compete with one another in an unstructured pattern."""

    LAYER = "layer"
    ROW = "row"
    BLOCK = "block"


class Pattern(Protocol):
    """A rule that turns scores into a mask, and everything its callers need to know about it."""

    @property
    def name(self) -> str:
        """The pattern as a recipe spells it: `unstructured` or `2:4`."""

    @property
    def group_name(self) -> str:
        """The comparison group: `layer`, `row` or `block`, or the `n:m` of the pattern."""

    @property
    def scope(self) -> str:
        """Where weights compete, to complete a sentence: `across the whole linear`."""

    @property
    def fixed_sparsity(self) -> float | None:
        """The sparsity that the pattern implies; None if the recipe chooses it."""

    @property
    def group_width(self) -> int | None:
        """m of an N:M pattern, which has to divide the input width; None for an unstructured pattern."""

    @property
    def permuted(self) -> bool:
        """Whether columns are reordered before they are cut into groups."""

    @property
    def n_and_m(self) -> dict[str, int]:
        """`n` and `m` of an N:M pattern; empty for an unstructured one."""

    @property
    def fixes_row_counts(self) -> bool:
        """Whether every row loses a count of its own, so that a refinement may swap within rows."""

    @property
    def allows_row_sparsities(self) -> bool:
        """Whether rows may have different sparsities."""

    @property
    def step(self) -> int | None:
        """How many columns are decided together while the weights change; None if all of them are needed."""

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        """Return the mask `[out, in]` for scores `[out, in]` at a sparsity."""

    def select(self, score: Tensor, sparsity: Sparsity) -> Selection:
        """Return the same mask, and how it came about."""

    def order(self, score: Tensor) -> Tensor | None:
        """Return the column order `[in]` in which groups are consecutive; None for the stored order."""

    def split(self, values: Tensor, order: Tensor | None = None) -> list[Tensor]:
        """Split `values`, `[out, in]`, into comparison groups: tensors `[groups, entries]`, several if group
        sizes differ.
        """


def make_pattern(text: str, group: Group | None = None, permutation: str | None = None) -> Pattern:
    """Return the pattern that a recipe's fields describe.

    Args:
        text: `unstructured` or `n:m`.
        group: the comparison group of an unstructured pattern; None for the whole linear.
        permutation: the channel permutation of an N:M pattern; None for none.

    Raises:
        ValueError: `text` is neither, or not 0 < n < m.
    """
    n_of_m = parse_pattern(text)
    if n_of_m is None:
        return Unstructured(group or Group.LAYER)
    return SemiStructured(*n_of_m, permutation or "none")


def parse_pattern(text: str) -> tuple[int, int] | None:
    """Return `(n, m)` of a pattern `n:m`, None for `unstructured`.

    Raises:
        ValueError: it is neither, or not 0 < n < m.
    """
    if text == UNSTRUCTURED:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        raise ValueError(f"expected 'unstructured' or n:m (for instance 2:4, two kept of four), got {text!r}")
    n, m = int(match[1]), int(match[2])
    if not 0 < n < m:
        raise ValueError(f"in n:m, n of each m consecutive weights are kept, so 0 < n < m; got {text}")
    return n, m


def is_n_of_m(text: str) -> bool:
    """Whether a pattern, or the label of a pattern or sparsity, is meant as `n:m` (possibly malformed)."""
    return ":" in text


def removed(count: int, sparsity: float) -> int:
    """Return `floor(count * sparsity)` as if computed in decimals: 0.29 of 100 is 29, although
    100 * 0.29 < 29 in binary.
    """
    return floor(round(count * sparsity, 6))


def removed_by_row(count: int, sparsity: Tensor) -> Tensor:
    """Return how many of `count` entries each row loses, `[out]` int64, rounded like `removed`.

    A row keeps `floor((1 - sparsity) * count)`.
    """
    # On the CPU, because MPS has no float64. Rounding first absorbs the binary error of the product.
    kept = ((1 - sparsity.to("cpu", torch.float64)) * count).round(decimals=6).floor()
    return (count - kept).clamp(0, count).long()


@dataclass(frozen=True)
class Unstructured:
    """Remove the lowest entries of each comparison group, wherever they are."""

    group: Group
    width: int = BLOCK_WIDTH

    @property
    def name(self) -> str:
        return UNSTRUCTURED

    @property
    def group_name(self) -> str:
        return self.group.value

    @property
    def scope(self) -> str:
        return {
            Group.LAYER: "across the whole linear",
            Group.ROW: "within each row",
            Group.BLOCK: f"within blocks of {self.width} columns",
        }[self.group]

    @property
    def fixed_sparsity(self) -> None:
        return None

    @property
    def group_width(self) -> None:
        return None

    @property
    def permuted(self) -> bool:
        return False

    @property
    def n_and_m(self) -> dict[str, int]:
        return {}

    @property
    def fixes_row_counts(self) -> bool:
        return self.group is Group.ROW

    @property
    def allows_row_sparsities(self) -> bool:
        return self.group is Group.ROW

    @property
    def step(self) -> int | None:
        return self.width if self.group is Group.BLOCK else None

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        return self.select(score, sparsity).keep

    def select(self, score: Tensor, sparsity: Sparsity) -> Selection:
        """Select by scores `[out, in]`.

        Raises:
            ValueError: sparsities per row were given, but not one for each row, or entries of different rows
                compete.
            NonFiniteError: a score is NaN.
        """
        columns = score.shape[1]
        if isinstance(sparsity, torch.Tensor):
            self._check_rows(sparsity, len(score))
            counts = removed_by_row(columns, sparsity)
            return remove_lowest(score, counts.to(score.device, non_blocking=True))
        if self.group is Group.ROW:
            return remove_lowest(score, removed(columns, sparsity))  # [out, in]: each row is a group
        width = columns if self.group is Group.LAYER else self.width
        parts = [
            # The last block may be narrower and counts its own entries.
            self._select_together(part, removed(part.numel(), sparsity))
            for part in score.split(width, dim=1)  # each [out, width]: one group
        ]
        return Selection.joined(parts, dim=1)

    def _select_together(self, score: Tensor, count: int) -> Selection:
        selection = remove_lowest(score.reshape(1, -1), count)  # row-major, which decides ties
        return replace(selection, keep=selection.keep.view(score.shape))

    def order(self, score: Tensor) -> None:
        return None

    def split(self, values: Tensor, order: Tensor | None = None) -> list[Tensor]:
        if self.group is Group.ROW:
            return [values]
        width = values.shape[1] if self.group is Group.LAYER else self.width
        return [part.reshape(1, -1) for part in values.split(width, dim=1)]

    def _check_rows(self, sparsity: Tensor, rows: int) -> None:
        if not self.allows_row_sparsities:
            raise ValueError(
                "rows can have different sparsities only if weights compete within a row, "
                f"not in the group {self.group.value}"
            )
        if sparsity.shape != (rows,):
            raise ValueError(
                f"expected one sparsity for each of {rows} rows, got the shape {list(sparsity.shape)}"
            )


@dataclass(frozen=True)
class SemiStructured:
    """n:m - of each m consecutive columns of a row keep the n with the highest scores (at most n non-zeros
    in m).

    With a `permutation` (`zigzag` or `assignment`, see `engine.pruning.permutation`) columns are consecutive
    in a different order than they are stored in.
    """

    n: int
    m: int
    permutation: str = "none"

    @property
    def name(self) -> str:
        return f"{self.n}:{self.m}"

    @property
    def group_name(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        return f"within each {self.m} columns of a row"

    @property
    def fixed_sparsity(self) -> float:
        return 1 - self.n / self.m

    @property
    def group_width(self) -> int:
        return self.m

    @property
    def permuted(self) -> bool:
        return self.permutation != "none"

    @property
    def n_and_m(self) -> dict[str, int]:
        return {"n": self.n, "m": self.m}

    @property
    def fixes_row_counts(self) -> bool:
        return True

    @property
    def allows_row_sparsities(self) -> bool:
        return False

    @property
    def step(self) -> int | None:
        """m; None if columns are permuted, because a group may then lie anywhere in its row."""
        return None if self.permuted else self.m

    def keep(self, score: Tensor, sparsity: Sparsity) -> Tensor:
        """Return the mask `[out, in]` for scores `[out, in]`; `sparsity` is ignored, the pattern implies it.

        Raises:
            NonFiniteError: columns are to be permuted and a score is NaN.
        """
        return self.select(score, sparsity).keep

    def select(self, score: Tensor, sparsity: Sparsity) -> Selection:
        order = self.order(score)
        if order is None:
            return self._select_consecutive(score)
        selection = self._select_consecutive(score[:, order])
        keep = torch.empty_like(selection.keep)
        keep[:, order] = selection.keep  # back to the stored order
        return Selection(keep, selection.ties, order)

    def order(self, score: Tensor) -> Tensor | None:
        """Return the column order `[in]`, `order[position] = column`, in which each m consecutive columns are
        a group; None for the stored order.

        Raises:
            NonFiniteError: columns are to be permuted and a score is NaN.
        """
        if not self.permuted:
            return None
        refuse_nan(score)
        return column_order(score, self.n, self.m, self.permutation)

    def split(self, values: Tensor, order: Tensor | None = None) -> list[Tensor]:
        return [(values if order is None else values[:, order]).reshape(-1, self.m)]  # [out * in / m, m]

    def _select_consecutive(self, score: Tensor) -> Selection:
        groups = score.reshape(-1, self.m)  # [out * in / m, m]
        selection = remove_lowest_of_few(groups, self.m - self.n)
        return replace(selection, keep=selection.keep.reshape(score.shape))
