"""Which rows (output neurons) of a linear lost most, on a sample of the calibration text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.inspection.facts import LostRow

MOST = 12


@dataclass(frozen=True)
class Losses:
    """The rows that lost most, the largest relative error first; the median over all rows, and the error of the whole output."""

    lost: tuple[LostRow, ...]
    median: float
    error: float


def losses(inputs: Tensor, dense: Tensor, pruned: Tensor, keep: Tensor) -> Losses:
    """Relative errors of the output, row by row.

    Args:
        inputs: `[tokens, in]`.
        dense, pruned: the weight before and after, `[out, in]`.
        keep: the mask `[out, in]`.
    """
    outputs = inputs @ dense.T  # [tokens, out]
    gone = (outputs - inputs @ pruned.T).square().sum(0).double()  # [out]
    was = outputs.square().sum(0).double()
    errors = (gone / was.where(was > 0, 1)).sqrt() * (was > 0)
    shares = gone / gone.sum().clamp(min=torch.finfo(torch.float64).tiny)
    sparsity = 1 - keep.double().mean(1)
    worst = errors.argsort(descending=True, stable=True)[:MOST].tolist()
    whole = was.sum()
    return Losses(
        lost=tuple(LostRow(row, float(errors[row]), float(shares[row]), float(sparsity[row])) for row in worst),
        median=float(errors.quantile(0.5)),
        error=float((gone.sum() / whole).sqrt()) if whole > 0 else 0.0,
    )
