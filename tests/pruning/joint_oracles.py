"""Joint N:M masks by enumeration, in float64: every set of columns that could go, each priced by a solve of
its own.

The first set in lexicographic order wins a tie. A dead column's weight costs nothing, as under obs.
"""

from itertools import combinations

import torch
from torch import Tensor

from tests.pruning.oracles import damped, dead, hessian, work_through


def removal_loss(row: Tensor, inverse: Tensor, places: list[int]) -> float:
    """`1/2 w_P (B_PP)^-1 w_P^T`."""
    return float(row[places] @ torch.linalg.solve(inverse[places][:, places], row[places]) / 2)


def cheapest(row: Tensor, inverse: Tensor, start: int, n: int, m: int) -> list[int]:
    """Which of the m columns from `start` on go."""
    sets = [list(places) for places in combinations(range(start, start + m), m - n)]
    return min(sets, key=lambda places: removal_loss(row, inverse, places))


def joint(weight: Tensor, inputs: Tensor, n: int, m: int) -> Tensor:
    """1 where kept: the set goes whose removal costs least when every other column, wherever it stands, makes
    up for it.
    """
    inverse, unused = torch.linalg.inv(damped(hessian(inputs))), dead(inputs)
    kept = torch.ones(weight.shape, dtype=torch.float64)
    for row, stays in zip(weight.double(), kept, strict=True):
        for start in range(0, len(row), m):
            stays[cheapest(torch.where(unused, 0.0, row), inverse, start, n, m)] = 0
    return kept


def running_joint(weight: Tensor, inputs: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """The obs update, each group decided on its running weights: of the other columns only the later ones can
    still make up for it.
    """

    def decide(column: int, running: Tensor, inverses: list[Tensor]) -> Tensor | None:
        if column % m:
            return None
        stays = torch.ones(len(running), m, dtype=torch.bool)
        for row, kept in zip(running, stays, strict=True):
            kept[cheapest(row[column:], inverses[column], 0, n, m)] = False
        return stays

    return work_through(weight, damped(hessian(inputs)), dead(inputs), decide)
