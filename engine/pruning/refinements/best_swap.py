"""The best exchange of a kept and a removed weight in each of many rows.

With the Hessian H, the removed part r of a row and `c = H r`, the row's loss is `r H r / 2`, and removing a
kept p and restoring a removed g changes it by

    (H_pp w_p^2 / 2 + w_p c_p)  +  (H_gg w_g^2 / 2 - w_g c_g)  -  w_p w_g H_pg

The first two terms are costs of one weight each. The third is bounded by how strongly an input is correlated
with any other one, which leaves a few dozen candidates on each side. The pairs of two such lists are bounded
again, and the few that are left are computed: the result is the best of all pairs, up to rounding.

Cost: a row is read about sixty times, and two rows of H; most of the time goes into the lists.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


PAIRS_OF_ONE_STEP, PAIRS_AT_ONCE = 2**16, 2**20
"""Pairs that are not worth splitting, and pairs compared together, which limits the memory of the search."""
ROUNDING = 1e-5
"""A swap must lower the loss by this fraction of its terms, so that rounding never swaps back and forth."""
LINES = 4
"""Lines that bound the third term, see `_least_with_partner`."""


@dataclass(frozen=True)
class Swaps:
    """For each row the columns `[rows]` of a kept and of a removed entry, and how their exchange changes the
    loss; the margin for rounding is part of it.
    """

    kept: Tensor
    removed: Tensor
    change: Tensor

    def where(self, chosen: Tensor) -> Swaps:
        return Swaps(self.kept[chosen], self.removed[chosen], self.change[chosen])


@dataclass(frozen=True)
class Rows:
    """Rows and their masks, `[rows, in]`; `swap` changes them in place.

    Attributes:
        signed: the weight, times -1 where removed.
        not_kept, not_removed: what makes the cost of an entry infinite that cannot be removed, or restored;
            elsewhere 0. Adding it takes a tenth of the time of a masked assignment.
        own: `w_j^2 H_jj / 2`, and the margin for rounding.
        size: `|w_j| sqrt(H_jj)`.
        factor: the largest `|third term| / size` that an entry can have with another one.
        coupled: c.
    """

    signed: Tensor
    not_kept: Tensor
    not_removed: Tensor
    own: Tensor
    size: Tensor
    factor: Tensor
    coupled: Tensor

    @classmethod
    def of(cls, weight: Tensor, keep: Tensor, hessian: Tensor, reach: Tensor) -> Rows:
        """Return the state of rows `[rows, in]`; `reach` is that of `strongest_correlations`."""
        removed = weight.masked_fill(keep, 0)
        size = weight.abs() * hessian.diagonal().sqrt()
        coupled = removed @ hessian
        # |w_j c_j| is at most size_j times this root, now and after any swap.
        root = (removed * coupled).sum(1, keepdim=True).clamp(min=0).sqrt()
        possible = torch.zeros_like(weight)
        return cls(
            signed=weight.where(keep, -weight),
            not_kept=possible.masked_fill(~keep, torch.inf),
            not_removed=possible.masked_fill(keep, torch.inf),
            own=size.square().div_(2) + ROUNDING * size * (size + root),
            size=size,
            factor=reach * size,
            coupled=coupled,
        )

    def where(self, chosen: Tensor) -> Rows:
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def costs(self) -> tuple[Tensor, Tensor]:
        """Return what removing and what restoring each entry alone changes, `[rows, in]`; infinite where it
        is not possible.
        """
        cost = torch.addcmul(self.own, self.signed, self.coupled)
        return cost + self.not_kept, cost + self.not_removed

    def swap(self, swaps: Swaps, hessian: Tensor) -> None:
        """Make one swap in each row."""
        rows = torch.arange(len(self.signed), device=self.signed.device)
        for columns in (swaps.kept, swaps.removed):
            self.coupled.addcmul_(self.signed[rows, columns, None], hessian[columns])
            self.signed[rows, columns] *= -1
        self.not_kept[rows, swaps.kept] = self.not_removed[rows, swaps.removed] = torch.inf
        self.not_removed[rows, swaps.kept] = self.not_kept[rows, swaps.removed] = 0.0


def strongest_correlations(hessian: Tensor) -> Tensor:
    """Return for each input the largest absolute correlation (about 0) with another one, `[in]`."""
    scale = hessian.diagonal().sqrt()
    scale = scale.where(scale > 0, 1)  # an input that is always 0 is correlated with none
    # Rounding must not make a bound too tight.
    return (hessian / scale / scale[:, None]).abs_().fill_diagonal_(0).amax(1) * (1 + ROUNDING)


def best_swaps(rows: Rows, hessian: Tensor) -> Swaps:
    """Return the best swap of each row."""
    remove, restore = rows.costs()
    found = _good_swaps(rows, remove, restore, hessian)
    # The least that any swap of an entry can change: only entries below what has been found can do better.
    least_remove = remove + _least_with_partner(restore, rows)
    least_restore = restore + _least_with_partner(remove, rows)
    better = found.change.clamp(max=0)[:, None]
    counts = (least_remove < better).sum(1), (least_restore < better).sum(1)
    pairs = counts[0] * counts[1]
    left = pairs.nonzero()[:, 0]
    while len(left):
        # Each row gets lists as long as the longest, so rows with far fewer candidates wait for their turn.
        most = int(pairs[left].max())
        listed = pairs[left] > (most // 4 if most * len(left) > PAIRS_OF_ONE_STEP else 0)
        chosen = left[listed]
        lengths = [int(count[chosen].max()) for count in counts]
        for some in chosen.split(max(1, PAIRS_AT_ONCE // (lengths[0] * lengths[1]))):
            kept = _Candidates.of(rows, remove, least_remove, some, lengths[0])
            removed = _Candidates.of(rows, restore, least_restore, some, lengths[1])
            _compare(kept, removed, some, found, hessian)
        left = left[~listed]
    return found


def _good_swaps(rows: Rows, remove: Tensor, restore: Tensor, hessian: Tensor) -> Swaps:
    """Return a good swap of each row, and mostly the best: the cheapest entry to restore gets its best
    partner, and that one its own.
    """
    at = torch.arange(len(remove), device=remove.device)
    g = restore.argmin(1)
    p = torch.addcmul(remove, rows.signed * rows.signed[at, g, None], hessian[g]).argmin(1)
    third = rows.signed.mul(rows.signed[at, p, None]).mul_(hessian[p])
    change, g = third.add_(restore).min(1)
    return Swaps(p, g, change + remove[at, p])


def _least_with_partner(cost: Tensor, rows: Rows) -> Tensor:
    """Return a lower bound of `min_j (cost_j - t size_j)` for the factor t of each entry, `[rows, in]`.

    As a function of t the minimum is concave, so between knots it is above the line through them. These lines
    are themselves concave together: the lowest one is the bound. The knots are cubes of even steps, because
    most factors are small.
    """
    end = rows.factor.amax(1, keepdim=True)  # [rows, 1]
    knots = end.where(end > 0, 1) * torch.linspace(0, 1, LINES + 1, device=end.device) ** 3  # [rows, knots]
    exact = torch.addcmul(cost[:, None], knots[:, :, None], rows.size[:, None], value=-1).amin(2)
    slope = exact.diff(dim=1) / knots.diff(dim=1)  # [rows, lines]
    start = exact[:, :-1] - slope * knots[:, :-1]
    return torch.addcmul(start[:, :, None], slope[:, :, None], rows.factor[:, None]).amin(1)


@dataclass(frozen=True)
class _Candidates:
    """Entries on one side, `[rows, count]`: their columns and costs, and values of `Rows`."""

    columns: Tensor
    cost: Tensor
    signed: Tensor
    size: Tensor
    factor: Tensor

    @classmethod
    def of(cls, rows: Rows, cost: Tensor, least: Tensor, some: Tensor, count: int) -> _Candidates:
        columns = least[some].topk(count, dim=1, largest=False).indices
        values = (cost, rows.signed, rows.size, rows.factor)
        return cls(columns, *(value[some].gather(1, columns) for value in values))


def _compare(kept: _Candidates, removed: _Candidates, some: Tensor, found: Swaps, hessian: Tensor) -> None:
    """Put the best pair of two lists into `found`, for the rows `some`, if it beats what is there."""
    third = torch.minimum(
        kept.factor[:, :, None] * removed.size[:, None], kept.size[:, :, None] * removed.factor[:, None]
    )
    least = (kept.cost[:, :, None] + removed.cost[:, None]).sub_(third)  # [rows, count, count]
    # Few pairs are left: for each, its row and its places in the lists.
    row, p, g = (least < found.change[some, None, None].clamp(max=0)).nonzero(as_tuple=True)
    columns, partners = kept.columns[row, p], removed.columns[row, g]
    coupling = hessian.take(columns * len(hessian) + partners)
    change = (
        kept.cost[row, p] + removed.cost[row, g] + kept.signed[row, p] * removed.signed[row, g] * coupling
    )
    best = found.change[some].scatter_reduce(0, row, change, "amin")
    hits = (change == best[row]).nonzero()[:, 0]
    # The first of equal pairs; `row` is sorted.
    hits = hits[torch.cat([hits[:1] >= 0, row[hits[1:]] != row[hits[:-1]]])]
    at = some[row[hits]]
    found.kept[at], found.removed[at], found.change[at] = columns[hits], partners[hits], change[hits]


def best_swaps_in_groups(rows: Rows, hessian: Tensor, group: int) -> Swaps:
    """Return the best swap of each row whose columns are in the same `group` of consecutive columns."""
    remove, restore = rows.costs()
    width = remove.shape[1]
    starts = torch.arange(width // group, device=remove.device)
    # The groups' own blocks of H, [groups, group, group]
    blocks = hessian.view(len(starts), group, len(starts), group)[starts, :, starts, :]
    parts = []
    for some in torch.arange(len(remove), device=remove.device).split(
        max(1, PAIRS_AT_ONCE // (width * group))
    ):
        signed, p, g = (each[some].view(-1, len(starts), group) for each in (rows.signed, remove, restore))
        change = (signed[..., None] * signed[..., None, :]).mul_(blocks)  # [some, groups, group, group]
        best, place = change.add_(p[..., None]).add_(g[..., None, :]).flatten(1).min(1)
        start, pair = place // group**2 * group, place % group**2
        parts.append(Swaps(start + pair // group, start + pair % group, best))
    return Swaps(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Swaps)))
