"""Channel permutation for N:M: choose which columns share a group, so that the pattern removes less score.

Each group of each row keeps n of its m weights whatever their scores, so strong columns should not share a
group. Only the groups are decided here: the mask is mapped back to the original columns, and the model's
function is unchanged. Sparse tensor cores would need the weights stored in permuted order, which is not done.
Cost on one CPU core for a weight of 768 x 3072: zig-zag 2 ms, assignment 0.8 s for 2:4 and 0.9 s for 4:8,
most of it for `out * in * CHUNK` differences. Memory: two copies of the score and two of a chunk in float64,
`16 * m * CHUNK * out` bytes. Not covered: a second round over the positions, and exchanges between the chunks
of a wide linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import torch

from engine.hardware.transfers import HostCopies

if TYPE_CHECKING:
    from torch import Tensor


CHUNK = 256
"""The most groups whose columns are assigned in one problem.

The differences to sum grow with the number of groups, for each column, and the solve with its square: 256
groups take 2 ms, 768 take 30. Chunks of 256 keep 99.9 % of the score that one problem over all 768 groups of
a random 768 x 3072 weight keeps, in less than a third of the time.
"""
ROUNDING = 1e-12
"""The smallest relative gain for which columns move, so that equal scores leave them in place."""


def column_order(score: Tensor, n: int, m: int, permutation: str) -> Tensor | None:
    """Return the column order `[in]` for an n:m pattern, `order[position] = column`: each m consecutive
    columns are a group.

    Within a group the columns keep their original order, so that on ties the lower column is still removed
    first. The inverse is `order.argsort()`.

    Args:
        score: `[out, in]`, m divides in.
        permutation: `none` (returns None), `zigzag` or `assignment`.
    """
    if permutation == "none":
        return None
    groups = {"zigzag": zigzag, "assignment": assignment}[permutation](score, n, m)  # [m, groups]
    return groups.sort(dim=0).values.T.flatten()  # [groups, m] -> [in]


def zigzag(score: Tensor, n: int, m: int) -> Tensor:
    """Distribute columns over the groups by their total score, `[m, groups]` (Zhang et al., ICLR 2024,
    section 3.2).

    The columns in ascending order are cut into m parts, and each group gets one column of every part, taken
    forwards from even parts and backwards from odd ones. Individual rows and n are ignored, so the result may
    keep less score than the stored order.
    """
    order = score.sum(0).argsort(stable=True).view(m, -1)  # [m, groups]
    order[1::2] = order[1::2].flip(1)
    return order


def assignment(score: Tensor, n: int, m: int) -> Tensor:
    """Assign columns to the groups position by position, `[m, groups]`, so that more score is kept (Zhang et
    al., ICLR 2024, section 3.2).

    Starts from zig-zag or from the stored order, whichever keeps more. Then, for each position within the
    groups in turn, the columns there are reassigned while all others are fixed: a linear assignment problem,
    solved exactly. The kept score never decreases. Wide linears are processed in chunks of `CHUNK` groups,
    with every k-th group in the same chunk, so that each chunk has strong and weak ones.
    """
    # clamped so that an infinite score outweighs all others and can still be summed
    limit = torch.finfo(score.dtype).max / score.numel()
    score = score.clamp(-limit, limit)
    standing = torch.arange(score.shape[1], device=score.device).view(-1, m).T  # [m, groups]
    zigzagged = zigzag(score, n, m)
    groups = zigzagged.where(kept_score(score, zigzagged, n) > kept_score(score, standing, n), standing)
    columns = score.T.contiguous()  # [in, out]: whole columns are read repeatedly
    parts = ceil(groups.shape[1] / CHUNK)
    for place in range(m):
        chunks = [groups[:, part::parts] for part in range(parts)]  # views: assigning changes `groups`
        for chunk, assigned in zip(chunks, _reassigned(columns, chunks, n, place), strict=True):
            chunk[place] = assigned
    return groups


def kept_score(score: Tensor, groups: Tensor, n: int) -> Tensor:
    """Return the total score that n:m keeps of `[out, in]` if its columns are grouped as `groups`, `[m,
    groups]`; it has no dimensions.
    """
    m = len(groups)
    best = score[:, groups.T.flatten()].view(len(score), -1, m).topk(n, dim=2).values  # [out, groups, n]
    return _exact(best).sum()


def _reassigned(columns: Tensor, chunks: Sequence[Tensor], n: int, place: int) -> list[Tensor]:
    """Return the best assignment of the columns at one position of each chunk, `[m, groups]`, to its groups,
    `[groups]`; `columns` is the score, `[in, out]`. The chunks have no column in common.
    """
    # Imported here because scipy loads slowly and no other method needs it.
    from scipy.optimize import linear_sum_assignment

    copies = HostCopies(columns.device)
    problems = [copies.add(_differences(columns, chunk, n, place)) for chunk in chunks]
    copies.wait()  # once for all chunks
    assigned = []
    for chunk, problem in zip(chunks, problems, strict=True):
        chosen = torch.from_numpy(linear_sum_assignment(problem.numpy(), maximize=True)[1])
        # On the diagonal each group has the column that it has now.
        before, after = problem.diagonal().sum(), problem.gather(1, chosen[:, None]).sum()
        best = chosen if after > before * (1 + ROUNDING) else torch.arange(len(chosen))
        assigned.append(chunk[place].index_select(0, best.to(chunk.device, non_blocking=True)))
    return assigned


def _differences(columns: Tensor, groups: Tensor, n: int, place: int) -> Tensor:
    """Return the quantity whose sum an assignment maximises, `[groups, columns]`, for the columns at one
    position of `groups`, `[m, groups]`.

    A group without this position keeps its n - 1 best and the larger of the new column's score and its own
    n-th best, so the quantity to maximise is `sum_rows max(bar, score)`. That is half of `sum bar + sum score
    + sum |bar - score|`, and only the last sum depends on the assignment.
    """
    values = _exact(columns[groups])  # [m, groups, out]
    others = torch.cat([values[:place], values[place + 1 :]])  # [m - 1, groups, out]
    bar = others.kthvalue(len(groups) - n, dim=0).values  # the n-th best of m - 1, [groups, out]
    return torch.cdist(bar, values[place], p=1)


def _exact(values: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return values if values.device.type == "mps" else values.double()
