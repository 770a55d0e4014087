"""The best exchange of a kept and a removed weight in each of many rows.

With the Hessian H, the removed part r of a row and `c = H r`, the row's loss is `r H r / 2`, and removing a
kept p and restoring a removed g changes it by

    (H_pp w_p^2 / 2 + w_p c_p)  +  (H_gg w_g^2 / 2 - w_g c_g)  -  w_p w_g H_pg

The first two terms are costs of one weight each. The third is bounded by how strongly an input is correlated
with any other one, which leaves some dozens of kept entries. Their swaps with the inputs that are correlated
with them most strongly are computed. Any other input is correlated with them much less, and bounds by that
leave few entries on each side, whose pairs are computed: the result is the best of all pairs, up to rounding.

Cost: a row is read about fifty times, and two rows of H; as much time goes into the lists.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from engine.pruning.refinements.swap_state import Rows, Swaps

if TYPE_CHECKING:
    from torch import Tensor

    from engine.pruning.refinements.swap_state import Inputs


PAIRS_AT_ONCE = 2**20
"""About how many pairs are compared together, which limits the memory of the search."""
LINES, FINE_LINES = 4, 12
"""Lines that bound the third term of whole rows, and of a few entries, see `_Bound`."""


def best_swaps(rows: Rows, inputs: Inputs) -> Swaps:
    """Return the best swap of each row."""
    remove, restore = rows.costs()
    found = _good_swaps(rows, remove, restore, inputs.hessian)
    # Only entries whose bounds are below what has been found can do better.
    bound = _Bound.of(restore, rows.size, rows.factor)
    kept = _Entries.below(found, remove + bound.at(rows.factor), remove, rows)
    found.improve(kept.row, kept.column, *kept.best_nearest(restore, rows, inputs))
    # With any other input they are correlated less.
    kept = kept.which(bound.at_entries(kept.row, kept.rest(inputs)), found)
    cost, size, rest = kept.padded(found, kept.size, kept.rest(inputs))
    bound = _Bound.of(cost, rest, rows.size)
    removed = _Entries.below(found, restore + bound.at(rows.size), restore, rows)
    bound = _Bound.of(cost, size, rows.factor, FINE_LINES)
    removed = removed.which(bound.at_entries(removed.row, removed.factor), found)
    cost, size = removed.padded(found, removed.size)
    bound = _Bound.of(cost, size, rest, FINE_LINES)
    kept = kept.which(bound.at_entries(kept.row, kept.rest(inputs)), found)
    found.improve(kept.row, kept.column, *kept.best_of(removed, found, inputs.hessian))
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


@dataclass(frozen=True)
class _Bound:
    """A lower bound of `min_j (cost_j - t size_j)` as a function of t, for each row: the least of some lines,
    `start + slope t`, `[rows, lines]`.

    The minimum is concave in t, so between knots it is above the line through them. These lines are
    themselves concave together: the lowest one is the bound. The knots are cubes of even steps, because most
    factors are small.
    """

    start: Tensor
    slope: Tensor

    @classmethod
    def of(cls, cost: Tensor, size: Tensor, factor: Tensor, lines: int = LINES) -> _Bound:
        """Return the bound over partners with these costs and sizes, `[rows, partners]`, for all t up to the
        largest factor of a row, `[rows, any]`.
        """
        end = factor.amax(1, keepdim=True)  # [rows, 1]
        knots = end.where(end > 0, 1) * torch.linspace(0, 1, lines + 1, device=end.device) ** 3
        exact = torch.addcmul(cost[:, None], knots[:, :, None], size[:, None], value=-1).amin(2)
        slope = exact.diff(dim=1) / knots.diff(dim=1)
        return cls(exact[:, :-1] - slope * knots[:, :-1], slope)

    def at(self, factor: Tensor) -> Tensor:
        """Return the bound at each factor, `[rows, any]`."""
        return torch.addcmul(self.start[:, :, None], self.slope[:, :, None], factor[:, None]).amin(1)

    def at_entries(self, row: Tensor, factor: Tensor) -> Tensor:
        """Return the bound at a factor of each of some rows, `[any]`."""
        start, slope = self.start.index_select(0, row), self.slope.index_select(0, row)
        return torch.addcmul(start, slope, factor[:, None]).amin(1)


@dataclass(frozen=True)
class _Entries:
    """Entries of rows, one row after the other, `[entries]`: where they are, their costs, and values of
    `Rows`.
    """

    row: Tensor
    column: Tensor
    cost: Tensor
    signed: Tensor
    size: Tensor
    factor: Tensor

    @classmethod
    def below(cls, found: Swaps, least: Tensor, cost: Tensor, rows: Rows) -> _Entries:
        """Return the entries whose value in `least`, `[rows, in]`, is below what has been found."""
        at = (least < found.better[:, None]).flatten().nonzero()[:, 0]
        row, column = at // cost.shape[1], at % cost.shape[1]
        return cls(row, column, *(value.take(at) for value in (cost, rows.signed, rows.size, rows.factor)))

    def which(self, partner: Tensor, found: Swaps) -> _Entries:
        """Return the entries whose cost and least cost with a partner, `[entries]`, are below what has been
        found.
        """
        chosen = (self.cost + partner < found.better.index_select(0, self.row)).nonzero()[:, 0]
        return _Entries(*(getattr(self, field.name).index_select(0, chosen) for field in fields(self)))

    def rest(self, inputs: Inputs) -> Tensor:
        """Return the largest `|third term| / size` with an entry that is not among the nearest."""
        return self.size * inputs.rest.index_select(0, self.column)

    def padded(self, found: Swaps, *values: Tensor) -> list[Tensor]:
        """Return the costs of each row's entries, infinite past the last one, and other values, `[rows,
        most]` each.
        """
        counts = torch.bincount(self.row, minlength=len(found.change))
        most = max(1, int(counts.max()))
        start = torch.arange(0, most * len(counts), most, device=counts.device) - counts.cumsum(0) + counts
        at = torch.arange(len(self.row), device=counts.device) + start.index_select(0, self.row)
        infinite = self.cost.new_full((len(counts), most), torch.inf)
        return [infinite.put_(at, self.cost)] + [
            value.new_zeros(len(counts), most).put_(at, value) for value in values
        ]

    def best_nearest(self, other: Tensor, rows: Rows, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return the best partner of each entry among its nearest inputs, and what the swap changes,
        `[entries]`.

        Args:
            other: the costs of the other side, `[rows, in]`.
        """
        nearest = inputs.nearest.index_select(0, self.column)  # [entries, nearest]
        at = nearest + self.row[:, None] * other.shape[1]
        coupling = inputs.coupling.index_select(0, self.column)
        return self._best(nearest, other.take(at), rows.signed.take(at), coupling)

    def best_of(self, partners: _Entries, found: Swaps, hessian: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best partner of each entry among those in its row, and what the swap changes,
        `[entries]`.
        """
        padded = partners.padded(found, partners.signed, partners.column)
        best = []
        for some in torch.arange(len(self.row), device=self.row.device).split(
            max(1, PAIRS_AT_ONCE // padded[0].shape[1])
        ):
            each = _Entries(*(getattr(self, field.name)[some] for field in fields(self)))
            cost, signed, column = (value.index_select(0, each.row) for value in padded)
            coupling = hessian.take(column + each.column[:, None] * len(hessian))
            best.append(each._best(column, cost, signed, coupling))
        partner, change = zip(*best, strict=True)
        return torch.cat(partner), torch.cat(change)

    def _best(self, column: Tensor, cost: Tensor, signed: Tensor, coupling: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best of some partners of each entry, and what the swap changes; the partners are given
        as `[entries, partners]`.
        """
        third = (signed * self.signed[:, None]).mul_(coupling)
        change, place = third.add_(cost + self.cost[:, None]).min(1)
        return column.gather(1, place[:, None])[:, 0], change


def best_swaps_in_groups(rows: Rows, inputs: Inputs, group: int) -> Swaps:
    """Return the best swap of each row whose columns are in the same `group` of consecutive columns."""
    remove, restore = rows.costs()
    width = remove.shape[1]
    starts = torch.arange(width // group, device=remove.device)
    # The groups' own blocks of H, [groups, group, group]
    blocks = inputs.hessian.view(len(starts), group, len(starts), group)[starts, :, starts, :]
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
