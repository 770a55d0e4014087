"""DSnoT and R2-DSnoT swap by swap, one row at a time, in float64, with sums over windows and plain sorts.

Where the definition is ambiguous: a variance of 0 is the limit of ever smaller variances, so such an input
ranks before (or after) all others, the larger c first, and an input that is never active counts as 0; on a
tie the lower column is taken; a grown entry must lower |e| ("too", says the definition of the pruned one); a
row is finished when it has no such pair left. With N:M, an entry whose group has no partner left is skipped.
If the sign of e must not change, a swap that would change it is not made.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.pruning.oracles import input_norm, relative


@dataclass(frozen=True)
class Trace:
    """The history of one row: the final mask, the swaps `(grown, pruned)`, and e before and after each."""

    keep: list[bool]
    swaps: list[tuple[int, int]]
    errors: list[float]


@dataclass(frozen=True)
class Row:
    """One row. Growing ranks by `sign(e) * value / variance + extra`, pruning by `score`."""

    c: list[float]
    value: list[float]
    variance: list[float]
    extra: list[float]
    score: list[float]


def input_sum(inputs: Tensor) -> Tensor:
    """Return `m_j`: the sum over the tokens of a window, averaged over the windows."""
    return sum(window.double().sum(0) for window in inputs) / len(inputs)


def input_variance(inputs: Tensor) -> Tensor:
    """Return `v_j`: the mean of the windows' population variances (all windows have the same length here)."""
    return sum(window.double().var(0, unbiased=False) for window in inputs) / len(inputs)


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def rank(signed: float, variance: float, extra: float) -> tuple[int, float]:
    """Return a sort key equivalent to `signed / variance + extra`."""
    if variance == 0 and signed != 0:
        return sign(signed), signed
    return 0, (signed / variance if signed else 0.0) + extra


def refine_row(
    row: Row,
    keep: list[bool],
    *,
    group: int | None = None,
    cycles: int = 50,
    threshold: float = 0.1,
    lower: bool = False,
    same_sign: bool = False,
) -> Trace:
    """Swap within one row until it is finished. `group` is m if swaps stay within m consecutive columns."""
    keep, used, swaps = list(keep), set[int](), list[tuple[int, int]]()
    columns = range(len(keep))
    error = sum(row.c[j] for j in columns if not keep[j])
    first, errors = sign(error), [error]

    def partner(grown: int) -> int | None:
        """Return the entry to prune for a grown one, which all entries of its group share."""
        place = grown // group if group else 0
        if place not in partners:
            partners[place] = lowest_partner(grown)
        return partners[place]

    def lowest_partner(grown: int) -> int | None:
        if group is None:
            candidates = [j for j in columns if keep[j] and j not in used and sign(error) * row.c[j] < 0]
        else:
            candidates = [j for j in columns if keep[j] and j not in used and j // group == grown // group]
        return min(candidates, key=lambda j: row.score[j], default=None)

    while len(swaps) < cycles and abs(error) > threshold:
        partners: dict[int, int | None] = {}
        candidates = [
            j
            for j in columns
            if not keep[j] and j not in used and sign(error) * row.c[j] > 0 and partner(j) is not None
        ]
        if not candidates:
            break
        grown = max(candidates, key=lambda j: rank(sign(error) * row.value[j], row.variance[j], row.extra[j]))
        pruned = partner(grown)
        after = error - row.c[grown] + row.c[pruned]
        if (lower and abs(after) >= abs(error)) or (same_sign and sign(after) != first):
            break
        keep[grown], keep[pruned], error = True, False, after
        used |= {grown, pruned}
        swaps.append((grown, pruned))
        errors.append(error)
    return Trace(keep, swaps, errors)


def dsnot(
    keep: Tensor, weight: Tensor, inputs: Tensor, *, score: Tensor | None = None, **options: object
) -> list[Trace]:
    """Return the trace of every row, pruned by `score` or else by Wanda's."""
    c = weight.double() * input_sum(inputs)
    score = weight.double().abs() * input_norm(inputs) if score is None else score
    return traces(keep, c, c, inputs, torch.zeros_like(c), score, torch.zeros_like(c), options)


def r2_dsnot(
    keep: Tensor,
    weight: Tensor,
    inputs: Tensor,
    *,
    relative_grow: bool = True,
    relative_prune: bool = False,
    gamma1: float = 0,
    gamma2: float = 0,
    alpha: float = 0.5,
    p: float = 1,
    **options: object,
) -> list[Trace]:
    """Return the trace of every row.

    Growing uses `sign(W) D m` if it is relative, else c; pruning uses D instead of |W| if it is relative.
    """
    importance, regular = relative(weight), relative(weight, p)
    grow = importance * weight.double().sign() if relative_grow else weight.double()
    score = (importance if relative_prune else weight.double().abs()) * input_norm(inputs) ** alpha
    mean = input_sum(inputs)
    return traces(
        keep, weight.double() * mean, grow * mean, inputs, gamma1 * regular, score, gamma2 * regular, options
    )


def traces(
    keep: Tensor,
    c: Tensor,
    value: Tensor,
    inputs: Tensor,
    extra: Tensor,
    score: Tensor,
    penalty: Tensor,
    options: dict[str, object],
) -> list[Trace]:
    variance = input_variance(inputs).tolist()
    refine: Callable[..., Trace] = refine_row
    return [
        refine(
            Row(c[i].tolist(), value[i].tolist(), variance, extra[i].tolist(), (score + penalty)[i].tolist()),
            keep[i].tolist(),
            **options,
        )
        for i in range(len(keep))
    ]


def masks(rows: list[Trace]) -> Tensor:
    return torch.tensor([row.keep for row in rows])


def drift(rows: list[Trace], at: int) -> float:
    """Return the mean of |e| over the rows, before (`at` = 0) or after (`at` = -1) the swaps."""
    return sum(abs(row.errors[at]) for row in rows) / len(rows)
