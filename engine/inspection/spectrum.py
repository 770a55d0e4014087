"""Singular values of a weight before and after pruning: what removing single weights does to the directions that the linear passes on."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.inspection.facts import Spectrum

QUICK = 1e9
"""`out * in * min(out, in)` up to which both decompositions take about a second on two CPU cores."""


def is_quick(rows: int, columns: int) -> bool:
    """Whether the singular values of a weight of this shape can be had without being asked for."""
    return rows * columns * min(rows, columns) <= QUICK


def spectrum(dense: Tensor, pruned: Tensor) -> Spectrum:
    """The singular values of both weights `[out, in]`, in float32."""
    return Spectrum(torch.linalg.svdvals(dense.float()).cpu().numpy(), torch.linalg.svdvals(pruned.float()).cpu().numpy())
