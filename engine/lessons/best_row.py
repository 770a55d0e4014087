"""The best mask of one row, found by trying all of them."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor


def best_of_row(weight: Tensor, gram: Tensor) -> tuple[list[float], list[Tensor]]:
    """Return the best mask for each number of weights that a row can lose, without changing the others.

    Tries all `2 ** in` masks, so `in` must be small.

    Args:
        weight: the row, `[in]` float64.
        gram: `XᵀX` of its inputs, `[in, in]` float64.

    Returns:
        By the number of removed weights, 0 to `in`: the least squared error, and what is removed to reach it,
        `[in]` bool.
    """
    patterns = torch.tensor(list(product((False, True), repeat=len(weight))))  # removed, [2 ** in, in]
    change = patterns * weight  # [2 ** in, in]
    # ‖X δ‖² = δᵀ (XᵀX) δ for the change δ of the row.
    squares, sizes = ((change @ gram) * change).sum(1), patterns.sum(1)  # [2 ** in] each
    best = [int(squares.where(sizes == size, torch.inf).argmin()) for size in range(len(weight) + 1)]
    return [float(squares[at]) for at in best], [patterns[at] for at in best]
