"""Swaps within rows, shared by DSnoT and R2-DSnoT: restore a pruned weight, remove a kept one, until the
row's expected error is close to zero.

All rows swap in parallel; the only loop is over the cycles. The order of the candidates is computed before
it: one shortlist per sign of the error, so that a cycle gathers only a few numbers from each active row.
Cost: four selections over the weight (two with N:M), then almost nothing; memory: briefly about eight tensors
of the weight's size.

An entry is swapped at most once. A row stops for good when its error is within the threshold, no remaining
candidate would help, or a rule forbids the next swap; stopped rows are not touched again. Not covered: swaps
between rows, or ones that look ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from engine.errors import NonFiniteError
from engine.hardware.transfers import require
from engine.pruning.axes import Refined
from engine.pruning.selection import remove_lowest
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


MOST_CYCLES = 50
"""As published, for rows of 4,096 columns and more."""
COLUMNS_PER_SWAP = 80
"""Default number of columns per swap: fifty swaps ruin a narrow row, so narrow rows get few, and rows of
4,000 columns and more get the published 50.

Measured on the bundled model (rows of 128 and 384) with 32 windows, perplexity at 60 and 70 %: Wanda 63.7 and
143; with a swap for every 128 columns 60.5 and 125, 80: 60.2 and 125, 64: 61.8 and 145, 48: 61.9 and 141, 32:
64.6 and 171.
"""
CONSTANT = 1e30
"""The lowest rank of constant inputs: above any other rank, and far from overflow."""


@dataclass(frozen=True)
class Criteria:
    """What decides which entries are swapped, `[out, in]` unless stated otherwise.

    Attributes:
        change: `c_ij = W_ij m_j`, what the row's expected output loses if the entry is removed.
        value: the entry with the largest `sign(e) * value / variance + bonus` is restored; it has the sign of
            `change`.
        variance: v, `[in]`.
        score: the entry with the lowest is removed.
        bonus: see `value`; None for 0.
    """

    change: Tensor
    value: Tensor
    variance: Tensor
    score: Tensor
    bonus: Tensor | None = None


@dataclass(frozen=True)
class Rules:
    """When a row stops.

    Attributes:
        cycles: swaps that a row may make.
        threshold: |e| at which it stops.
        same_sign: whether a swap is refused that would change the sign of e.
        lower: whether a swap is refused that does not lower |e|.
    """

    cycles: int
    threshold: float
    same_sign: bool = False
    lower: bool = False

    @classmethod
    def of(
        cls, width: int, group: int | None, *, cycles: int, threshold: float, same_sign: str, lower: str
    ) -> Rules:
        """Return the rules that the parameters of a method describe, for a linear with `width` columns."""
        # The published code checks the sign for N:M only.
        one_sign = same_sign == "yes" or (same_sign == "published" and group is not None)
        return cls(cycles or default_cycles(width), threshold, one_sign, lower == "yes")  # 0: default

    def allow(self, error: Tensor, after: Tensor) -> Tensor:
        """Return which rows may make a swap that changes their error to `after`, `[rows]`."""
        allowed = torch.ones_like(error, dtype=torch.bool)
        if self.same_sign:
            allowed &= after.sign() == error.sign()  # by induction, the initial sign
        if self.lower:
            allowed &= after.abs() < error.abs()
        return allowed


PARAMETERS = (
    Parameter(
        name="cycles",
        kind="int",
        default=0,
        minimum=0,
        maximum=MOST_CYCLES,
        explanation=f"most swaps per row; 0 = one for every {COLUMNS_PER_SWAP} columns, at most "
        f"{MOST_CYCLES} "
        f"(published: {MOST_CYCLES})",
    ),
    Parameter(
        name="threshold",
        kind="float",
        default=0.1,
        minimum=0.0,
        maximum=1e6,
        explanation="a row stops when its expected error is at most this; absolute, in units of the layer's "
        "output summed over the tokens of a window",
    ),
    Parameter(
        name="same_sign",
        kind="choice",
        default="published",
        choices=("published", "yes", "no"),
        explanation="whether a row stops before a swap that would flip the sign of its error; published: "
        "yes with "
        "N:M, no otherwise",
    ),
    Parameter(
        name="lower",
        kind="choice",
        default="no",
        choices=("no", "yes"),
        explanation="whether a row stops before a swap that would not reduce its error; published: no",
    ),
    Parameter(
        name="layers",
        kind="choice",
        default="all",
        choices=("all", "attention"),
        explanation="which linears are refined; the published code leaves out the MLP",
        for_plan=True,
    ),
)
"""Parameters of both methods."""


def attention_only(parameters: Mapping[str, Any]) -> bool:
    """Whether linears outside the attention are left as they are."""
    return bool(parameters["layers"] == "attention")


def default_cycles(width: int) -> int:
    """Return the default number of swaps for a row of `width` columns: proportional to it, up to the
    published number.
    """
    return min(MOST_CYCLES, max(1, width // COLUMNS_PER_SWAP))


def swapped(keep: Tensor, criteria: Criteria, rules: Rules, group: int | None) -> Refined:
    """Return the mask `[out, in]` after all swaps; each row (with `group`, each `group` consecutive columns)
    keeps as many as before.

    Raises:
        NonFiniteError: an expected change of the output is not a finite number.
    """
    change = criteria.change
    problem = "Some mean activations of a linear's input, or its weights, are not finite."
    require(change.isfinite().all(), lambda: NonFiniteError(problem))
    error = change.masked_fill(keep, 0).sum(1)  # e, [out]
    before, swaps, keep = error.abs().mean(), torch.zeros_like(keep[0, 0], dtype=torch.int64), keep.clone()
    # `rows` holds each row once, so the indexed assignments below never write the same place twice. On a CPU
    # it loses the rows that have stopped; an accelerator passes over all of them sooner than it counts them.
    rows, active = torch.arange(len(error), device=keep.device), error.abs() > rules.threshold
    shrinks = keep.device.type == "cpu"
    if shrinks:
        rows, active = rows[active], active[active]
    if rules.cycles == 0 or len(rows) == 0:
        return Refined(keep, swaps, before, before)
    pairs: Pairs = (
        RowPairs(keep, criteria, rules.cycles)
        if group is None
        else GroupPairs(keep, criteria, rules.cycles, group)
    )
    for _ in range(rules.cycles):
        now = error[rows]
        grown, pruned, exists = pairs.draw(rows, (now > 0).long())
        # e sums over what is pruned: it loses the grown entry and gains the pruned one.
        after = now - change[rows, grown] + change[rows, pruned]
        able = active & exists & rules.allow(now, after)
        keep[rows, grown] = keep[rows, grown] | able
        keep[rows, pruned] = keep[rows, pruned] & ~able
        error[rows] = after.where(able, now)
        swaps += able.sum()
        active = able & (after.abs() > rules.threshold)
        if shrinks:
            rows, active = rows[active], active[active]
            if len(rows) == 0:
                break
    return Refined(keep, swaps, before, error.abs().mean())


class Pairs(Protocol):
    """The swaps that remain. `side` is 1 if a row's error is positive and 0 if it is negative."""

    def draw(self, rows: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return, for each of the `rows`, the next column to grow, the one to prune, and whether there is
        such a pair; all `[rows]`.

        This consumes the pair: a row that does not make the swap has stopped and is never passed again.
        """


class RowPairs:
    """Swaps within whole rows: on each side the n-th column to grow is paired with the n-th to prune,
    independently of the other side.
    """

    def __init__(self, keep: Tensor, criteria: Criteria, cycles: int) -> None:
        count = min(cycles, keep.shape[1])  # a row makes at most this many swaps
        self._grow, growable = _both_sides(keep, criteria, count, growing)
        self._prune, prunable = _both_sides(keep, criteria, count, dispensing)
        self._left = torch.minimum(growable, prunable)  # [out, 2]
        self._next = torch.zeros_like(self._left)

    def draw(self, rows: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place = self._next[rows, side]
        self._next[rows, side] += 1
        # Past the end of the list the result reports that there is no pair; the index must still be valid.
        at = (rows, side, place.clamp(max=self._grow.shape[2] - 1))
        return self._grow[at], self._prune[at], place < self._left[rows, side]


class GroupPairs:
    """Swaps within groups of m columns (N:M): the partner of a column to grow is the lowest score in its own
    group, whatever the sign of its change.

    An entry whose group has no partner left is skipped. One swap can use up a group with up to m - 1 pruned
    entries, hence the length of the list.
    """

    def __init__(self, keep: Tensor, criteria: Criteria, cycles: int, m: int) -> None:
        count = min(cycles * max(1, m - 1), keep.shape[1])
        self._grow, self._left = _both_sides(keep, criteria, count, growing)
        self._next = torch.zeros_like(self._left)
        self._score = criteria.score.masked_fill(~keep, torch.inf)  # only of entries that can still be pruned
        self._within = torch.arange(m, device=keep.device)
        self._m = m

    def draw(self, rows: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if rows.device.type != "cpu":
            self._next[rows, side] = self._next_with_partner(rows, side)
        while True:
            place = self._next[rows, side]
            grown = self._grow[rows, side, place.clamp(max=self._grow.shape[2] - 1)]
            start = grown - grown % self._m
            # An infinite minimum means that no entry of the group can be pruned any more.
            lowest, partner = self._score[rows[:, None], start[:, None] + self._within].min(1)  # of [rows, m]
            listed = place < self._left[rows, side]
            alone = listed & lowest.isinf()
            if rows.device.type != "cpu" or not alone.any():
                break
            self._next[rows, side] += alone  # only these rows move on; the lists are finite
        self._next[rows, side] += 1
        pruned = start + partner
        # Grown entries keep the infinite score that they began with, so they are never pruned again.
        self._score[rows, pruned] = torch.inf
        return grown, pruned, listed

    def _next_with_partner(self, rows: Tensor, side: Tensor) -> Tensor:
        """Return the place of the next column that has a partner, `[rows]`; past the list if there is none.

        Looks at whole lists, which an accelerator does sooner than it tells whether to look further.
        """
        listed = self._grow[rows, side]  # [rows, list]
        groups = (listed - listed % self._m)[:, :, None] + self._within  # [rows, list, m]
        has_partner = self._score[rows[:, None, None], groups].isfinite().any(2)
        places = torch.arange(listed.shape[1], device=rows.device)
        ahead = places >= self._next[rows, side][:, None]
        return places.where(has_partner & ahead, listed.shape[1]).amin(1)


class _Ranking(Protocol):
    def __call__(self, keep: Tensor, criteria: Criteria, sign: int) -> Tensor: ...


def _both_sides(keep: Tensor, criteria: Criteria, count: int, ranking: _Ranking) -> tuple[Tensor, Tensor]:
    """Return the candidates, best first, for negative and for positive errors, `[out, 2, count]`, and how
    many there are, `[out, 2]`.
    """
    columns, lengths = zip(*(highest(ranking(keep, criteria, sign), count) for sign in (-1, 1)), strict=True)
    return torch.stack(columns, 1), torch.stack(lengths, 1)


def growing(keep: Tensor, criteria: Criteria, sign: int) -> Tensor:
    """Return how much each entry should be restored if the error has this sign, `[out, in]`; -inf where that
    would not help.

    An input of variance 0 corrects all tokens equally, so it ranks above all others, larger values first.
    """
    value = criteria.value * sign
    varies = criteria.variance > 0  # [in]
    rank = value / criteria.variance.where(varies, 1)
    if criteria.bonus is not None:
        rank += criteria.bonus
    rank.clamp_(max=CONSTANT)  # a tiny variance must not outrank constant inputs
    if rank.device.type != "cpu" or not varies.all():
        rank = rank.where(
            # Between one and two times CONSTANT for all entries that can help. `tiny` avoids 0 / 0.
            varies,
            CONSTANT * (1 + value / value.max().clamp(min=torch.finfo(value.dtype).tiny)),
        )
    # Growing subtracts c from the error, so it helps only if both have the same sign.
    return rank.masked_fill_(keep | (criteria.change * sign <= 0), -torch.inf)


def dispensing(keep: Tensor, criteria: Criteria, sign: int) -> Tensor:
    """Return how dispensable each entry is if the error has this sign, `[out, in]`; -inf where its removal
    would not help.
    """
    # Pruning adds c to the error, so it helps only if their signs differ.
    return (-criteria.score).masked_fill_(~keep | (criteria.change * sign >= 0), -torch.inf)


def highest(rank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the columns of the `count` highest ranks of each row, `[out, count]`, highest first, and how
    many of them are above -inf, `[out]`.

    Among equal ranks the lower column comes first, even if only some of the equals are among the highest.
    """
    columns = _highest(rank, count)
    values, order = rank.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return columns.gather(1, order), (values > -torch.inf).sum(1)


def _highest(rank: Tensor, count: int) -> Tensor:
    """Return the columns of the `count` highest ranks of each row, `[out, count]`, ascending."""
    if rank.device.type != "cpu":
        highest_ones = ~remove_lowest(-rank, count).keep  # of equals the lower column
        places = torch.arange(rank.shape[1], device=rank.device)
        return places.where(highest_ones, rank.shape[1]).topk(count, dim=1, largest=False).values
    values, columns = rank.topk(count, dim=1)
    last = values[:, -1:]  # [out, 1]
    cut_tie = (rank == last).sum(1) > (values == last).sum(1)  # topk picks arbitrary ones of equal ranks
    some = (cut_tie & (last[:, 0] > -torch.inf)).nonzero()[:, 0]
    columns[some] = rank[some].sort(dim=1, descending=True, stable=True).indices[:, :count]
    # Ascending, so that after a stable sort by rank equals come in column order.
    return columns.sort(dim=1).values
