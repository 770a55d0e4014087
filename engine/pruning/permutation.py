"""Channel permutation for N:M: which columns share a group, so that the pattern costs less score.

Each group of each row keeps n of its m weights whatever they are worth, so strong columns should not meet.
Only who shares a group is decided here: the mask goes back to the original columns and the model's function
is untouched. Sparse tensor cores would need the permuted layout, which is not written. Cost on one CPU core
for a weight of 768 x 3072: zig-zag 2 ms, assignment 0.8 s for 2:4 and 0.9 s for 4:8, most of it `out * in *
CHUNK` differences; memory: two copies of the score and twice a part of it in float64, `16 * m * CHUNK * out`
bytes. Not covered: a second round over the places, and exchanges between the parts of a wide linear.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

CHUNK = 256
"""Groups whose columns are assigned at once, at most.

The differences to sum grow with the groups, for each column, and the solve with their square: 256 groups take
2 ms, 768 take 30. Of what one problem over all 768 groups of a random 768 x 3072 weight keeps, parts of 256
keep 99.9 %, in less than a third of the time.
"""
ROUNDING = 1e-12
"""The least gain, relative to what is compared, for which columns move: equal scores stay where they are."""


def column_order(score: Tensor, n: int, m: int, permutation: str) -> Tensor | None:
    """The columns `[in]` as an n:m pattern should see them: each m consecutive ones are a group,
    `order[place] = column`.

    Within a group the columns keep their original order, so that ties still go to the lower column. The
    inverse is `order.argsort()`.

    Args:
        score: `[out, in]`, m divides in.
        permutation: `none` (gives None), `zigzag` or `assignment`.
    """
    if permutation == "none":
        return None
    groups = {"zigzag": zigzag, "assignment": assignment}[permutation](score, n, m)
    return groups.sort(dim=0).values.T.flatten()


def zigzag(score: Tensor, n: int, m: int) -> Tensor:
    """Columns dealt over the groups by their total score, `[m, groups]` (Zhang et al., ICLR 2024, section
    3.2).

    In ascending order they are cut into m parts; each group gets one of each part, taken forwards from even
    and backwards from odd parts. Single rows and n play no part, so this may keep less than the columns as
    they stand.
    """
    dealt = score.sum(0).argsort(stable=True).view(m, -1)
    dealt[1::2] = dealt[1::2].flip(1)
    return dealt


def assignment(score: Tensor, n: int, m: int) -> Tensor:
    """Columns assigned to the groups place by place, `[m, groups]`, so that more score stays (Zhang et al.,
    ICLR 2024, section 3.2).

    Starts from zig-zag or from the columns as they stand, whichever keeps more. Then, for one place of the
    groups after the other, the columns there are dealt anew, all others fixed: a linear assignment problem,
    solved exactly. The kept score never falls on the way. Wide linears are done in parts of `CHUNK` groups,
    every k-th group in one part, so that each part has strong and weak ones.
    """
    limit = (
        torch.finfo(score.dtype).max / score.numel()
    )  # an infinite score outweighs all others, and can still be summed
    score = score.clamp(-limit, limit)
    standing = torch.arange(score.shape[1], device=score.device).view(-1, m).T  # [m, groups]
    groups = max(standing, zigzag(score, n, m), key=lambda groups: kept_score(score, groups, n)).clone()
    columns = score.T.contiguous()  # whole columns are read again and again
    parts = ceil(groups.shape[1] / CHUNK)
    for place in range(m):
        for part in range(parts):
            some = groups[:, part::parts]
            some[place] = _reassigned(columns, some, n, place)
    return groups


def kept_score(score: Tensor, groups: Tensor, n: int) -> float:
    """The sum of what n:m keeps of a score `[out, in]` when its columns are grouped as `groups`, `[m,
    groups]`.
    """
    m = len(groups)
    best = score[:, groups.T.flatten()].view(len(score), -1, m).topk(n, dim=2).values  # [out, groups, n]
    return float(_exact(best).sum())


def _reassigned(columns: Tensor, groups: Tensor, n: int, place: int) -> Tensor:
    """The columns at one place of `groups`, `[m, groups]`, dealt over the groups as is best, `[groups]`;
    `columns` is the score, `[in, out]`.

    A group that has all but this place keeps its n - 1 best and the larger of a column's score and its own
    n-th best, so it wants `sum_rows max(bar, score)`. That is half of `sum bar + sum score + sum |bar -
    score|`, and only the last sum depends on who gets what.
    """
    from scipy.optimize import linear_sum_assignment

    values = _exact(columns[groups])  # [m, groups, out]
    others = torch.cat([values[:place], values[place + 1 :]])  # [m - 1, groups, out]
    bar = others.kthvalue(len(groups) - n, dim=0).values  # the n-th best of m - 1, [groups, out]
    distance = torch.cdist(bar, values[place], p=1)  # [groups, columns]
    chosen = torch.from_numpy(linear_sum_assignment(distance.cpu().numpy(), maximize=True)[1]).to(
        groups.device
    )
    before, after = distance.diagonal().sum(), distance.gather(1, chosen[:, None]).sum()
    return groups[place, chosen] if after > before * (1 + ROUNDING) else groups[place]


def _exact(values: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return values if values.device.type == "mps" else values.double()
