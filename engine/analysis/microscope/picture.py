"""A weight and its mask, reduced to what fits a screen: pooled over equal cells, or single weights if zoomed
in.

Cells contain the mean absolute weight and the share of kept weights, so every weight counts exactly once.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from engine.analysis.microscope.types import Numbers, Picture, Span
from engine.errors import ModelError

MOST_ROWS, MOST_COLUMNS = 128, 192
"""Maximum number of cells: on a screen of 1,000 pixels a cell then has five, enough to see its shape."""


def picture(
    dense: Tensor, pruned: Tensor, keep: Tensor, rows: Span | None = None, columns: Span | None = None
) -> Picture:
    """Return the picture of a part of a weight.

    Args:
        dense, pruned: `[out, in]`.
        keep: the mask `[out, in]`, True = kept.
        rows, columns: the part; None for all.

    Raises:
        ModelError: the part is empty or does not lie within the weight.
    """
    shape = (int(dense.shape[0]), int(dense.shape[1]))
    rows, columns = _within(rows, shape[0], "rows"), _within(columns, shape[1], "columns")
    part = (slice(*rows), slice(*columns))
    # Rows and columns per cell.
    cell = (ceil((rows[1] - rows[0]) / MOST_ROWS), ceil((columns[1] - columns[0]) / MOST_COLUMNS))
    before, after, kept = dense[part].float(), pruned[part].float(), keep[part].float()
    if cell != (1, 1):
        before, after = before.abs(), after.abs()  # entries of both signs would cancel in the mean
    return Picture(
        shape=shape,
        rows=rows,
        columns=columns,
        cell=cell,
        dense=pooled(before.numpy(), cell),
        pruned=pooled(after.numpy(), cell),
        kept=pooled(kept.numpy(), cell),
        row_removed=(~keep).sum(1).numpy(),  # of the whole weight, also for a part
        column_removed=(~keep).sum(0).numpy(),
        moved=_distance(dense, pruned, keep),
    )


def pooled(values: Numbers, cell: tuple[int, int]) -> Numbers:
    """Return the mean over each cell of `values`, `[rows, columns]`; cells at the end may be smaller."""
    if cell == (1, 1):
        return np.ascontiguousarray(values)
    # `reduceat` instead of a reshape, because the last cells may be smaller.
    starts = [np.arange(0, length, size) for length, size in zip(values.shape, cell, strict=True)]
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
    sizes = [np.diff(np.append(at, length)) for at, length in zip(starts, values.shape, strict=True)]
    means: Numbers = (sums / np.outer(*sizes)).astype(np.float32)
    return means


def _within(span: Span | None, length: int, what: str) -> Span:
    if span is None:
        return 0, length
    if not 0 <= span[0] < span[1] <= length:
        raise ModelError(
            f"The {what} {span[0]} to {span[1] - 1} do not exist: this linear has the {what} 0 to "
            f"{length - 1}. Zoom out."
        )
    return span


def _distance(dense: Tensor, pruned: Tensor, keep: Tensor) -> float:
    masked = dense.float() * keep  # so that removal does not count as movement
    norm = torch.linalg.vector_norm(masked)
    return float(torch.linalg.vector_norm(pruned.float() - masked) / norm) if norm > 0 else 0.0
