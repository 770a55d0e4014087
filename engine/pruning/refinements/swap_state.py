"""Rows of a linear and their masks while weights are swapped, see `engine.pruning.refinements.best_swap`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


ROUNDING = 1e-5
"""A swap must lower the loss by this fraction of its terms, so that rounding never swaps back and forth."""
NEAREST = 16
"""Inputs that each input is compared with directly."""


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

    @property
    def better(self) -> Tensor:
        """What a swap must be below in order to be better, and to help at all, `[rows]`."""
        return self.change.clamp(max=0)

    def improve(self, row: Tensor, kept: Tensor, removed: Tensor, change: Tensor) -> None:
        """Put better swaps in the place of these; they are given by their row, in ascending order, `[swaps]`
        each.
        """
        best = self.change.scatter_reduce(0, row, change, "amin")
        hits = (change == best.index_select(0, row)).nonzero()[:, 0]
        at = row.index_select(0, hits)
        # The first of equal ones.
        first = torch.cat([at[:1] >= 0, at[1:] != at[:-1]])
        hits, at = hits[first], at[first]
        self.kept[at], self.removed[at], self.change[at] = kept[hits], removed[hits], change[hits]


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
    def of(cls, weight: Tensor, keep: Tensor, inputs: Inputs) -> Rows:
        """Return the state of rows `[rows, in]`."""
        hessian = inputs.hessian
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
            factor=inputs.reach * size,
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


@dataclass(frozen=True)
class Inputs:
    """The inputs of a linear, and how strongly they are correlated (about 0).

    Attributes:
        hessian: H, `[in, in]`.
        reach: the largest absolute correlation of each input with another one, `[in]`.
        nearest: the inputs that it is correlated with most strongly, `[in, nearest]`.
        coupling: their entries of H, `[in, nearest]`.
        rest: the largest absolute correlation with any input that is not among them, `[in]`.
    """

    hessian: Tensor
    reach: Tensor
    nearest: Tensor
    coupling: Tensor
    rest: Tensor

    @classmethod
    def of(cls, hessian: Tensor) -> Inputs:
        scale = hessian.diagonal().sqrt()
        scale = scale.where(scale > 0, 1)  # an input that is always 0 is correlated with none
        correlation = (hessian / scale / scale[:, None]).abs_().fill_diagonal_(0)
        # A narrow linear's inputs may be among their own nearest, which does no harm.
        most = correlation.topk(min(NEAREST + 1, len(hessian)), dim=1)
        values = most.values * (1 + ROUNDING)  # rounding must not make a bound too tight
        nearest = most.indices[:, :NEAREST].contiguous()
        return cls(hessian, values[:, 0], nearest, hessian.gather(1, nearest), values[:, -1])
