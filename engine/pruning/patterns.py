"""Sparsity patterns: rules that turn a score matrix into a mask. In every mask True means kept.

Counts are exact: a group of n entries loses `floor(n * s)` of them, never one more because of a tie with a
threshold; with one sparsity per row, a row keeps `floor((1 - r) * n)`. Among equal scores the lower position
in the group (row-major, so the lower column within a row) is removed first. Weights that were quantised once
have so many equal magnitudes that this rule affects the result, so the weights that it decides about are
counted. A single count for all rows is a selection, 30 ms for 768 x 3072 on a CPU core; one count per row
needs a sort of each row, which numpy does about as fast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import repeat
from math import floor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.errors import NonFiniteError
from engine.hardware.transfers import require
from engine.pruning.permutation import column_order

UNSTRUCTURED = "unstructured"
BLOCK_WIDTH = 128  # columns; SparseGPT's mask block B_s, which works best for it (arXiv 2301.00774)
ENTRIES_PER_CHUNK, ENTRIES_PER_CHUNK_ON_ACCELERATOR = 1_000_000, 2**26
"""Scores processed together when their groups are independent: the temporaries take up to 26 bytes an entry.
"""
SORTED = 2**22
"""Entries up to which an accelerator sorts a single group, which takes fewer steps than deciding bits."""
Sparsity = float | Tensor
"""One sparsity for the whole linear, or one per row, `[out]` float64: float32 would lose the decimals that
decide a count.
"""


class Group(StrEnum):
    """The entries that compete with one another in an unstructured pattern."""

    LAYER = "layer"
    ROW = "row"
    BLOCK = "block"


@dataclass(frozen=True)
class Selection:
    """What a pattern selects by scores `[out, in]`.

    Attributes:
        keep: the mask `[out, in]`.
        ties: how many weights have exactly the score at the cut of their comparison group while some of them
            are kept and others removed, and how many of those are removed: `[2]` int64, on the scores' device
            so that nothing waits for it. Scores of 0 do not count, because the method expects no loss from
            any of these weights: they are 0 already, or the calibration text never activates their input.
        order: the column order `[in]` that the groups were formed in, see `Pattern.order`.
    """

    keep: Tensor
    ties: Tensor
    order: Tensor | None = None


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


def remove_lowest(score: Tensor, count: int | Tensor) -> Selection:
    """Select all but the `count` lowest entries of each row of `score`, `[groups, entries]`.

    Args:
        score: among equal scores the earlier entry is dropped first.
        count: one for all rows, or one per row `[groups]`.

    Raises:
        NonFiniteError: a score is NaN.
    """
    most = ENTRIES_PER_CHUNK if score.device.type == "cpu" else ENTRIES_PER_CHUNK_ON_ACCELERATOR
    rows = max(1, most // max(1, score.shape[1]))
    counts = count.split(rows) if isinstance(count, Tensor) else repeat(count)
    # Not strict, because `repeat` never ends.
    parts = [_remove_lowest(part, each) for part, each in zip(score.split(rows), counts, strict=False)]
    return _joined(parts, dim=0)


def _joined(parts: Sequence[Selection], dim: int) -> Selection:
    if len(parts) == 1:
        return parts[0]
    return Selection(
        torch.cat([part.keep for part in parts], dim), torch.stack([part.ties for part in parts]).sum(0)
    )


def _remove_lowest(score: Tensor, count: int | Tensor) -> Selection:
    _refuse_nan(score)
    entries = score.shape[1]
    ties = torch.zeros(2, dtype=torch.int64, device=score.device)
    if isinstance(count, int) and count <= 0:
        return Selection(torch.ones_like(score, dtype=torch.bool), ties)
    if isinstance(count, int) and count >= entries:
        return Selection(torch.zeros_like(score, dtype=torch.bool), ties)
    threshold = _count_th_lowest(score, count)  # [groups, 1]
    keep = score > threshold
    # If a row's count is 0, its threshold is its lowest score, and all entries equal to it are kept here.
    excess = entries - count - keep.sum(1)  # entries equal to the threshold that must be kept, [groups]
    # An accelerator computes the rest sooner than the host learns whether it is necessary.
    if score.device.type != "cpu" or excess.any():
        tied = score == threshold
        # 1 for the first tied entry of the row, 2 for the next one, ...: the last ones are kept
        place = tied.cumsum(1, dtype=torch.int32)  # [groups, entries]
        keep |= tied & (place > (place[:, -1] - excess)[:, None])
        ties = _ties(score, keep, threshold, ((excess > 0) & (count > 0))[:, None])
    return Selection(keep, ties)


def _ties(score: Tensor, keep: Tensor, cut: Tensor, divided: Tensor) -> Tensor:
    """Return `Selection.ties` of groups, `[groups, entries]`.

    Args:
        cut: the highest removed score of each group, `[groups, 1]`.
        divided: the groups that also keep an entry with this score, `[groups, 1]` bool.
    """
    tied = (score == cut) & (divided & (cut != 0))
    return torch.stack([tied.sum(), (tied & ~keep).sum()])


def _refuse_nan(score: Tensor) -> None:
    require(~score.isnan().any(), lambda: NonFiniteError("Some scores are not numbers."))


def _count_th_lowest(score: Tensor, count: int | Tensor) -> Tensor:
    """Return the `count`-th lowest score of each row, `[groups, 1]`; the lowest if a row's count is 0."""
    if score.device.type != "cpu":
        if len(score) > 1 or score.numel() > SORTED or isinstance(count, Tensor):
            return count_th_lowest_by_bits(score, count)
        return score.sort(dim=1).values[:, count - 1 : count]
    # numpy selects and sorts in vector registers: two to eight times as fast as torch, which also computes
    # indices.
    values = score.numpy()  # no copy; partition and sort return new arrays
    if isinstance(count, int):
        return torch.from_numpy(np.partition(values, count - 1, axis=1)[:, count - 1 : count])
    ascending = torch.from_numpy(np.sort(values, axis=1))
    return ascending.gather(1, (count - 1).clamp(min=0)[:, None])


def count_th_lowest_by_bits(score: Tensor, count: int | Tensor) -> Tensor:
    """Return the `count`-th lowest score of each row, `[groups, 1]` float32; the lowest if its count is 0.

    Decides its 32 bits one after the other, each time counting the scores below: two passes that use all of a
    GPU for one long row as well as for many short ones, with a count for each row. A sort of the rows would
    move several times as many bytes, and `kthvalue` uses one multiprocessor per row.
    """
    ordered = _swap_order(score.float().view(torch.int32))  # integers in the order of the scores
    lowest = torch.iinfo(torch.int32).min  # the sign bit alone
    found = torch.full_like(ordered[:, :1], lowest)  # [groups, 1]
    place = max(1, count) if isinstance(count, int) else count.clamp(min=1)[:, None]
    for bit in (lowest, *(1 << shift for shift in reversed(range(31)))):
        larger = found ^ bit
        # The largest value with fewer than `place` scores below it is the one in that place.
        found = larger.where((ordered < larger).sum(1, keepdim=True) < place, found)
    return _swap_order(found).view(torch.float32)


def _swap_order(bits: Tensor) -> Tensor:
    """Convert between the bits of floats and integers in the same order, either way, `[...]` int32."""
    # Negative floats are stored as sign and magnitude: the larger the magnitude, the larger the bits.
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


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
        if isinstance(sparsity, Tensor):
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
        return _joined(parts, dim=1)

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
        _refuse_nan(score)
        return column_order(score, self.n, self.m, self.permutation)

    def split(self, values: Tensor, order: Tensor | None = None) -> list[Tensor]:
        return [(values if order is None else values[:, order]).reshape(-1, self.m)]  # [out * in / m, m]

    def _select_consecutive(self, score: Tensor) -> Selection:
        groups = score.reshape(-1, self.m)  # [out * in / m, m]
        ascending = groups.sort(dim=1, stable=True)  # stable: of equals the lower column is removed
        lost = self.m - self.n
        keep = torch.ones_like(groups, dtype=torch.bool).scatter_(1, ascending.indices[:, :lost], False)
        cut, next_one = ascending.values[:, lost - 1 : lost], ascending.values[:, lost : lost + 1]
        return Selection(keep.view(score.shape), _ties(groups, keep, cut, cut == next_one))
