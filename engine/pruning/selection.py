"""Selecting the lowest scores of each comparison group, exactly: one count for all groups, or one per group.

On a CPU numpy partitions (or sorts) the rows in vector registers, a few rows at a time so that everything
stays in the cache: about 4 ns per score, half of it for the partition. An accelerator decides the bits of the
cut one by one. The small groups of an N:M pattern are compared entry by entry on a CPU, all groups at a time,
and sorted on an accelerator. All give the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import NonFiniteError
from engine.hardware.transfers import require

if TYPE_CHECKING:
    from torch import Tensor


ENTRIES_PER_CHUNK, ENTRIES_PER_CHUNK_ON_ACCELERATOR = 2**17, 2**26
"""Scores processed together when their groups are independent: what fits into a core's cache, and what leaves
an accelerator's memory room for temporaries of up to 26 bytes an entry.
"""
FEW = 16
"""Entries of a group up to which a CPU compares every two of them, which takes less time than sorting."""
SORTED = 2**22
"""Entries up to which an accelerator sorts a single group, which takes fewer steps than deciding bits."""


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

    @classmethod
    def joined(cls, parts: Sequence[Selection], dim: int) -> Selection:
        """Return the selections of parts of a score matrix as one."""
        if len(parts) == 1:
            return parts[0]
        keep = torch.cat([part.keep for part in parts], dim)
        return cls(keep, torch.stack([part.ties for part in parts]).sum(0))


def remove_lowest(score: Tensor, count: int | Tensor) -> Selection:
    """Select all but the `count` lowest entries of each row of `score`, `[groups, entries]`.

    Args:
        score: among equal scores the earlier entry is dropped first.
        count: one for all rows, or one per row `[groups]`.

    Raises:
        NonFiniteError: a score is NaN.
    """
    on_cpu = score.device.type == "cpu"
    remove = _remove_on_cpu if on_cpu else _remove_on_accelerator
    most = ENTRIES_PER_CHUNK if on_cpu else ENTRIES_PER_CHUNK_ON_ACCELERATOR
    rows = max(1, most // max(1, score.shape[1]))
    counts = count.split(rows) if isinstance(count, torch.Tensor) else repeat(count)
    # Not strict, because `repeat` never ends.
    parts = [remove(part, each) for part, each in zip(score.split(rows), counts, strict=False)]
    return Selection.joined(parts, dim=0)


def remove_lowest_of_few(score: Tensor, count: int) -> Selection:
    """Select like `remove_lowest` from many groups of few entries, `[groups, entries]`, with 0 < count <
    entries. NaN counts as the highest score.
    """
    if score.device.type != "cpu" or score.shape[1] > FEW or _holds_nan(score.numpy()):
        return _remove_by_sorting(score, count)
    groups = max(1, ENTRIES_PER_CHUNK // score.shape[1])
    return Selection.joined([_remove_by_comparing(part, count) for part in score.split(groups)], dim=0)


def _remove_by_sorting(score: Tensor, count: int) -> Selection:
    ascending = score.sort(dim=1, stable=True)  # stable: of equals the lower column is removed
    keep = torch.ones_like(score, dtype=torch.bool).scatter_(1, ascending.indices[:, :count], False)
    cut, next_one = ascending.values[:, count - 1 : count], ascending.values[:, count : count + 1]
    return Selection(keep, count_ties(score, keep, cut, cut == next_one))


def refuse_nan(score: Tensor) -> None:
    """Raise `NonFiniteError` if a score is NaN."""
    require(~score.isnan().any(), lambda: NonFiniteError("Some scores are not numbers."))


def count_ties(score: Tensor, keep: Tensor, cut: Tensor, divided: Tensor) -> Tensor:
    """Return `Selection.ties` of groups, `[groups, entries]`.

    Args:
        cut: the highest removed score of each group, `[groups, 1]`.
        divided: the groups that also keep an entry with this score, `[groups, 1]` bool.
    """
    tied = (score == cut) & (divided & (cut != 0))
    return torch.stack([tied.sum(), (tied & ~keep).sum()])


def _all_or_none(score: Tensor, *, kept: bool) -> Selection:
    return Selection(
        torch.full_like(score, kept, dtype=torch.bool), torch.zeros(2, dtype=torch.int64, device=score.device)
    )


# ---- on a CPU ----------------------------------------------------------------------------------------------


def _holds_nan(values: NDArray[np.floating]) -> bool:
    with np.errstate(invalid="ignore"):
        # The minimum of anything with NaN is NaN, and takes a tenth of the time of looking for it.
        return values.size > 0 and bool(np.isnan(values.min()))


def _remove_by_comparing(score: Tensor, count: int) -> Selection:
    """Select from groups `[groups, entries]` without NaN by the place of each entry in its group."""
    values = np.ascontiguousarray(score.numpy().T)  # [entries, groups]: one operation for all groups
    entries = len(values)
    place = np.zeros(values.shape, np.int8)  # how many entries of its group come before it
    tied = False  # whether a group has equal entries
    for first in range(entries - 1):
        one, later = values[first], values[first + 1 :]
        before = (one <= later).view(np.int8)  # [later entries, groups]; of equals the earlier one
        place[first + 1 :] += before
        place[first] += entries - 1 - first - before.sum(0, dtype=np.int8)
        tied = tied or bool((one == later).any())
    keep = place >= count
    ties = _few_ties(values, keep) if tied else (0, 0)
    return Selection(torch.from_numpy(keep.T), torch.tensor(ties, dtype=torch.int64))


def _few_ties(values: NDArray[np.floating], keep: NDArray[np.bool_]) -> tuple[int, int]:
    """Return `Selection.ties` of `values` and their mask, `[entries, groups]`."""
    # A removed entry that equals a kept one has the value at the cut. Of equals the kept one comes later.
    divided, cut = np.zeros(values.shape[1], np.bool_), np.zeros(values.shape[1], values.dtype)
    for first in range(len(values) - 1):
        equal = (values[first] == values[first + 1 :]) & keep[first + 1 :]
        at_cut = equal.any(0) & ~keep[first] & (values[first] != 0)
        divided |= at_cut
        cut[at_cut] = values[first, at_cut]
    tied = (values == cut) & divided  # [entries, groups]
    return int(np.count_nonzero(tied)), int(np.count_nonzero(tied & ~keep))


def _remove_on_cpu(score: Tensor, count: int | Tensor) -> Selection:
    values = score.numpy()  # no copy; partition and sort return new arrays
    groups, entries = values.shape
    if isinstance(count, torch.Tensor) and groups and bool((count == count[0]).all()):
        count = int(count[0])
    alike = isinstance(count, int) and 0 < count < entries
    if not alike and _holds_nan(values):
        refuse_nan(score)
    if isinstance(count, int):
        if not alike:
            return _all_or_none(score, kept=count <= 0)
        cut = np.partition(values, count - 1, axis=1)[:, count - 1 : count]  # [groups, 1]
        counts = np.full(groups, count)
    else:
        counts = count.numpy()
        cut = np.take_along_axis(np.sort(values, axis=1), (counts - 1).clip(0)[:, None], 1)
    keep = values > cut
    if np.count_nonzero(keep) == groups * entries - counts.sum():
        return Selection(torch.from_numpy(keep), torch.zeros(2, dtype=torch.int64))
    if _holds_nan(values):
        refuse_nan(score)
    # Some rows also keep entries equal to the cut. If a row's count is 0, the cut is its lowest score, and
    # all entries equal to it are kept.
    divided = np.flatnonzero(np.count_nonzero(keep, axis=1) < entries - counts)
    return Selection(torch.from_numpy(keep), torch.tensor(_keep_last(values, keep, cut, counts, divided)))


def _keep_last(
    values: NDArray[np.floating],
    keep: NDArray[np.bool_],
    cut: NDArray[np.floating],
    counts: NDArray[np.integer],
    rows: NDArray[np.integer],
) -> tuple[int, int]:
    """Keep the last of the entries equal to the cut in these rows, as many as they must; return the ties."""
    _, entries = values.shape
    places, columns = np.nonzero(values[rows] == cut[rows])  # row by row, from the left
    tied = np.bincount(places)  # [rows]; each has some
    excess = entries - counts[rows] - np.count_nonzero(keep[rows], axis=1)  # how many must be kept, [rows]
    from_last = tied.cumsum()[places] - np.arange(len(places))  # 1 for the last one of its row
    kept = from_last <= excess[places]
    keep[rows[places], columns] = kept
    decided = (counts[rows] > 0) & (cut[rows, 0] != 0)
    return int(tied[decided].sum()), int((tied - excess)[decided].sum())


# ---- on an accelerator -------------------------------------------------------------------------------------


def _remove_on_accelerator(score: Tensor, count: int | Tensor) -> Selection:
    refuse_nan(score)
    entries = score.shape[1]
    if isinstance(count, int) and not 0 < count < entries:
        return _all_or_none(score, kept=count <= 0)
    cut = _count_th_lowest(score, count)  # [groups, 1]
    keep = score > cut
    # If a row's count is 0, its cut is its lowest score, and all entries equal to it are kept here. An
    # accelerator computes all of it sooner than the host learns whether it is necessary.
    excess = entries - count - keep.sum(1)  # entries equal to the cut that must be kept, [groups]
    tied = score == cut
    # 1 for the first tied entry of the row, 2 for the next one, ...: the last ones are kept
    place = tied.cumsum(1, dtype=torch.int32)  # [groups, entries]
    keep |= tied & (place > (place[:, -1] - excess)[:, None])
    return Selection(keep, count_ties(score, keep, cut, ((excess > 0) & (count > 0))[:, None]))


def _count_th_lowest(score: Tensor, count: int | Tensor) -> Tensor:
    """Return the `count`-th lowest score of each row, `[groups, 1]`; the lowest if a row's count is 0."""
    if len(score) > 1 or score.numel() > SORTED or isinstance(count, torch.Tensor):
        return count_th_lowest_by_bits(score, count)
    return score.sort(dim=1).values[:, count - 1 : count]


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
