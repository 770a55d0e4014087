"""DSnoT and R2-DSnoT swap by swap, one row after the other, in float64: statistics are sums over windows,
ranks are sorts.

What the definition leaves open is settled so: a variance of 0 is the limit of ever smaller ones, so that such
an input comes before (or behind) all others, the larger c first, and an input that is never active counts 0;
of equals the lower column goes; what is grown shrinks
|e| ("too", says the definition of what is pruned); a row is at an end once it finds no such pair. With N:M an
entry whose group has no partner left is passed over. Where the sign must not turn, a swap that would turn it
is not made.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.pruning.oracles import input_norm, relative


@dataclass(frozen=True)
class Trace:
    """What happened to one row: its mask behind all swaps, `(grown, pruned)` in order, and e before and
    behind each.
    """

    keep: list[bool]
    swaps: list[tuple[int, int]]
    errors: list[float]


@dataclass(frozen=True)
class Row:
    """One row, a number a column: c, what growing ranks by (`sign(e) * value / variance + extra`), and what
    pruning ranks by.
    """

    c: list[float]
    value: list[float]
    variance: list[float]
    extra: list[float]
    score: list[float]


def input_sum(inputs: Tensor) -> Tensor:
    """`m_j`: a sum over the tokens of a window, averaged over the windows."""
    return sum(window.double().sum(0) for window in inputs) / len(inputs)


def input_variance(inputs: Tensor) -> Tensor:
    """`v_j`: population variances of the windows, which are all of one length here."""
    return sum(window.double().var(0, unbiased=False) for window in inputs) / len(inputs)


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def rank(signed: float, variance: float, extra: float) -> tuple[int, float]:
    """A key that orders `signed / variance + extra`."""
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
    """One row to its end. `group` is m where swaps stay within m consecutive columns."""
    keep, used, swaps = list(keep), set[int](), list[tuple[int, int]]()
    columns = range(len(keep))
    error = sum(row.c[j] for j in columns if not keep[j])
    first, errors = sign(error), [error]

    def partner(grown: int) -> int | None:
        if group is None:
            able = [j for j in columns if keep[j] and j not in used and sign(error) * row.c[j] < 0]
        else:
            able = [j for j in columns if keep[j] and j not in used and j // group == grown // group]
        return min(able, key=lambda j: row.score[j], default=None)

    while len(swaps) < cycles and abs(error) > threshold:
        able = [
            j
            for j in columns
            if not keep[j] and j not in used and sign(error) * row.c[j] > 0 and partner(j) is not None
        ]
        if not able:
            break
        grown = max(able, key=lambda j: rank(sign(error) * row.value[j], row.variance[j], row.extra[j]))
        pruned = partner(grown)
        after = error - row.c[grown] + row.c[pruned]
        if (lower and abs(after) >= abs(error)) or (same_sign and sign(after) != first):
            break
        keep[grown], keep[pruned], error = True, False, after
        used |= {grown, pruned}
        swaps.append((grown, pruned))
        errors.append(error)
    return Trace(keep, swaps, errors)


def dsnot(keep: Tensor, weight: Tensor, inputs: Tensor, **options: object) -> list[Trace]:
    """Every row's trace."""
    c = weight.double() * input_sum(inputs)
    score = weight.double().abs() * input_norm(inputs)
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
    """Every row's trace. The growing value is `sign(W) D m` where it is relative, else c; the pruned score
    has D in place of |W| likewise.
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
    """Mean over the rows of |e|, before (0) or behind (-1) the swaps."""
    return sum(abs(row.errors[at]) for row in rows) / len(rows)
