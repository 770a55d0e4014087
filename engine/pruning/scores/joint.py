"""APT's joint choice of the weights to remove from each group of an N:M pattern (its mask letter M).

SparseGPT ranks single weights as if each were the only one to be removed. Here all `C(m, m-n)` sets of a
group are compared by the loss of removing the whole set while the remaining weights compensate: 6 sets for
2:4, 70 for 4:8. Cost: `out * in * sets * (m-n)` multiply-adds in batched products, 12 per weight for 2:4 and
280 for 4:8; patterns with more than `MOST_SETS` sets are refused. Different groups are decided independently;
only the update takes into account what they cost together.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import torch

from engine.errors import NumericsError
from engine.hardware.memory import batch_bytes, budget, pieces_that_fit
from engine.hardware.transfers import require
from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


MOST_SETS = 1000  # 4:8 has 70, 6:12 has 924, 8:16 has 12,870
ROUNDING = 16
"""Units in the last place by which the diagonal of `B_PP` is raised, so that rounding cannot make it
indefinite.
"""


def sets(n: int, m: int) -> int:
    """Return how many sets of `m - n` weights can be removed from a group of `m`."""
    return comb(m, m - n)


def too_many_sets(n: int, m: int) -> str | None:
    """Return why n:m cannot be used: there are more than `MOST_SETS` sets to rank. None if it can."""
    if sets(n, m) <= MOST_SETS:
        return None
    return (
        f"joint removal compares all sets of weights that a group can lose: {sets(n, m):,} sets for {n}:{m}, "
        f"but at most {MOST_SETS:,} are supported"
    )


def joint(
    weight: Tensor,
    statistics: Statistics,
    *,
    n: int,
    m: int,
    columns: slice = slice(None),
    most: int | None = None,
) -> Tensor:
    """Return 1.0 for kept and 0.0 for removed weights, `[out, columns]` (APT, arXiv 2410.15567).

    From each m consecutive columns the set P with the smallest `w_P (B_PP)^-1 w_P^T` is removed; among equal
    sets, the one with the lowest columns. For the whole weight, B is the inverse of the damped Hessian: all
    other columns compensate. For a slice of the columns, B is the inverse restricted to the columns from each
    group onwards, because those before it are final. Columns that the text never activates cost nothing.

    Args:
        weight: the slice's current weights, `[out, columns]`.
        most: bytes that temporaries may take; None for half of the free memory on an accelerator, and a
            little on a CPU.

    Raises:
        NumericsError: there are more than `MOST_SETS` sets, or a group's part of the inverse is not positive
            definite.
    """
    if refusal := too_many_sets(n, m):
        raise NumericsError(f"{refusal}.")
    factor = statistics.factor
    # Not coupled to other columns, dead ones cost nothing in any set once they are 0.
    active = weight.masked_fill(factor.dead[columns], 0)
    return removed_together(
        active,
        group_inverses(factor.upper, m, columns),
        n,
        batch_bytes(budget(weight.device), weight.device) if most is None else most,
    )


def group_inverses(upper: Tensor, m: int, columns: slice) -> Tensor:
    """Return `B_GG` of each group of m columns, `[groups, m, m]`, from U with `H^-1 = U^T U`; B is never
    formed as a whole.
    """
    # B_GG = U_:G^T U_:G over all rows of U. For a slice only the rows of U from the group onwards count, and
    # as U is triangular, of these only U_GG is not zero.
    if columns == slice(None):
        tall = upper.view(len(upper), -1, m).permute(1, 2, 0)  # [groups, m, in]
    else:
        blocks = upper[columns, columns].unflatten(0, (-1, m)).unflatten(2, (-1, m))  # [groups, m, groups, m]
        tall = blocks.diagonal(dim1=0, dim2=2).permute(2, 1, 0)  # [groups, m, m]
    return tall @ tall.mT


def removed_together(weight: Tensor, inverses: Tensor, n: int, most: int) -> Tensor:
    """Return 1.0 for kept and 0.0 for removed, `[out, in]`: removes the set with the smallest loss from each
    group of each row, given `B_GG` as `[groups, m, m]`.
    """
    groups, m, _ = inverses.shape
    # [sets, removed], the first columns first
    chosen = torch.tensor(list(combinations(range(m), m - n))).to(weight.device, non_blocking=True)
    kept = torch.ones(len(chosen), m, dtype=weight.dtype, device=weight.device).scatter_(1, chosen, 0)
    grouped = weight.unflatten(1, (groups, m)).transpose(0, 1)  # [groups, out, m]
    each = (
        chosen.numel() * weight.element_size()
    )  # bytes of one temporary for each group of a row, and of each row of a group's roots
    rows = pieces_that_fit(len(weight), 3 * each, most)
    # A group needs temporaries for its rows and for its roots, which have m rows.
    together = pieces_that_fit(groups, 3 * (rows + m) * each, most)
    masks = []
    for some, inverse in zip(grouped.split(together), inverses.split(together), strict=True):
        roots = _roots(inverse, chosen)
        masks.append(torch.cat([kept[_cheapest(part, roots)] for part in some.split(rows, dim=1)], dim=1))
    return torch.cat(masks).transpose(0, 1).flatten(1)  # [groups, out, m] -> [out, in]


def _cheapest(weight: Tensor, roots: Tensor) -> Tensor:
    """Return the index of the cheapest set, the first among equals, `[groups, out]`, for weights `[groups,
    out, m]` and roots `[groups, m, sets, removed]`.
    """
    # [groups, out, sets * removed] -> [groups, out, sets, removed] -> [groups, out, sets] -> [groups, out]
    return (weight @ roots.flatten(2)).square_().unflatten(2, roots.shape[2:]).sum(3).argmin(2)


def _roots(inverses: Tensor, chosen: Tensor) -> Tensor:
    """Return `R_s`, `[groups, m, sets, removed]`, with `w_P (B_PP)^-1 w_P^T = |w_G R_s|^2` for the columns P
    that set s removes.

    R is zero outside P and the inverse Cholesky factor of `B_PP` inside: a sum of squares loses no digits,
    which an explicit inverse would. Computed in float64 if the device supports it.
    """
    groups, m, _ = inverses.shape
    count, size = chosen.shape
    parts = inverses[:, chosen[:, :, None], chosen[:, None, :]]  # [groups, sets, removed, removed]
    parts = parts if inverses.device.type == "mps" else parts.double()
    # The precision of `inverses`, not of `parts`: converting to float64 does not undo its rounding errors.
    lift = ROUNDING * torch.finfo(inverses.dtype).eps * parts.diagonal(dim1=2, dim2=3)
    lower, failed = torch.linalg.cholesky_ex(parts + torch.diag_embed(lift))
    problem = (
        "The inverse Hessian of a group of columns is not positive definite. Try another dtype or "
        "calibration text."
    )
    require(~failed.any(), lambda: NumericsError(problem))
    inverse = torch.linalg.solve_triangular(
        lower, torch.eye(size, dtype=parts.dtype, device=parts.device).expand_as(lower), upper=False
    )
    roots = inverses.new_zeros(groups, m, count, size)
    which = torch.arange(count, device=chosen.device)[:, None, None]  # [sets, 1, 1]
    into = torch.arange(size, device=chosen.device)  # [removed]
    # (B_PP)^-1 = L^-T L^-1, so R_s is L^-T in the rows P. The indices broadcast to [sets, removed, removed].
    roots[:, chosen[:, :, None], which, into] = inverse.mT.to(roots.dtype)
    return roots


SCORES.add(
    Score(
        name="joint",
        title="Joint removal (APT's M)",
        explanation="Compares every set of weights that a group could lose, by the error that remains after "
        "the other weights have compensated for it.",
        helps="For 2:4 and similar patterns, where two weights of a group can often replace each other. "
        "Requires an N:M pattern with a small m.",
        formula=r"\min_{P} \tfrac12\, w_P \left( (H^{-1})_{PP} \right)^{-1} w_P^\top",
        paper=papers.APT,
        function=joint,
        needs=frozenset({Need.HESSIAN}),
        default_group=Group.ROW,
        running=True,
        joint=True,
        refuses=too_many_sets,
    )
)
