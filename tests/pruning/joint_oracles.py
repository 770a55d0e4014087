"""Joint N:M masks by enumeration in float64: every possible set of columns is tried, with one solve per set.

On a tie the first set in lexicographic order wins. A weight in a dead column costs nothing, as in obs.
"""

from itertools import combinations

import torch
from torch import Tensor

from tests.pruning.oracles import damped, hessian, is_dead, update_columns


def removal_loss(row: Tensor, inverse: Tensor, places: list[int]) -> float:
    """Return `1/2 w_P (B_PP)^-1 w_P^T`, B the inverse Hessian."""
    return float(row[places] @ torch.linalg.solve(inverse[places][:, places], row[places]) / 2)


def cheapest(row: Tensor, inverse: Tensor, start: int, n: int, m: int) -> list[int]:
    """Return the `m - n` columns to remove from the m columns that begin at `start`."""
    sets = torch.tensor(list(combinations(range(start, start + m), m - n)))
    blocks = inverse[sets[:, :, None], sets[:, None, :]]  # B_PP of every set
    losses = (row[sets] * torch.linalg.solve(blocks, row[sets])).sum(1)
    return sets[losses.argmin()].tolist()


def joint(weight: Tensor, inputs: Tensor, n: int, m: int) -> Tensor:
    """Return the mask (1 = kept) with the cheapest removals if all other columns can compensate."""
    inverse, unused = torch.linalg.inv(damped(hessian(inputs))), is_dead(inputs)
    mask = torch.ones(weight.shape, dtype=torch.float64)
    for row, keep in zip(weight.double(), mask, strict=True):
        for start in range(0, len(row), m):
            keep[cheapest(torch.where(unused, 0.0, row), inverse, start, n, m)] = 0
    return mask


def running_joint(weight: Tensor, inputs: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Return the weight and mask of obs, groups decided in order: only later columns compensate."""

    def decide(column: int, running: Tensor, inverses: list[Tensor]) -> Tensor | None:
        if column % m:
            return None
        mask = torch.ones(len(running), m, dtype=torch.bool)
        for row, keep in zip(running, mask, strict=True):
            keep[cheapest(row[column:], inverses[column], 0, n, m)] = False
        return mask

    return update_columns(weight, damped(hessian(inputs)), is_dead(inputs), decide)
