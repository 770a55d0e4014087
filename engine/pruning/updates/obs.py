"""SparseGPT's sequential update: column by column, the later columns make up for what was just removed.

Cost: one factorisation of the Hessian (shared by linears with the same input) and `out * in^2` multiply-adds. The columns are worked through in
blocks of about 128: inside a block each column's error reaches the rest of the block at once, the columns after the block in one product.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.pruning import papers
from engine.pruning.masks import MaskSource
from engine.pruning.methods import UPDATES, Update, Updated
from engine.pruning.patterns import BLOCK_WIDTH
from engine.pruning.statistics import Need, Statistics


def obs(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """Prune and update a weight `[out, in]`, float32 (SparseGPT, arXiv 2301.00774, algorithm 1)."""
    factor = statistics.factor
    rows, columns = weight.shape
    running = weight.T.clone()  # [in, out]: a column of the weight is contiguous
    running[factor.dead] = 0
    keep = torch.ones(rows, columns, dtype=torch.bool, device=weight.device)
    width = block_width(source.step)
    for start in range(0, columns, width):
        stop = min(start + width, columns)
        errors = _work_through(running, factor.upper, keep, source, start, stop)
        running[stop:] -= factor.upper[start:stop, stop:].T @ errors
    warnings = () if factor.damping <= 0.01 else (f"the Hessian needed a damping of {factor.damping:g} instead of 0.01",)
    return Updated(running.T * keep, keep, warnings)


def block_width(step: int | None) -> int:
    """The width of a block of columns: about 128, and a multiple of what the mask source decides at once."""
    if step is None:
        return BLOCK_WIDTH
    return max(step, BLOCK_WIDTH // step * step)


def _work_through(running: Tensor, upper: Tensor, keep: Tensor, source: MaskSource, start: int, stop: int) -> Tensor:
    """Work through the columns `start:stop` of `running`, `[in, out]`, in place; the scaled errors `[columns, out]`."""
    step = source.step or stop - start
    block = running[start:stop]  # [columns, out]
    factor = upper[start:stop, start:stop]
    errors = torch.empty_like(block)
    for at in range(stop - start):
        if at % step == 0:
            decided = slice(start + at, min(start + at + step, stop))
            keep[:, decided] = source.keep(decided, running[decided].T)
        torch.mul(block[at], (~keep[:, start + at]) / factor[at, at], out=errors[at])
        if at + 1 < stop - start:
            block[at + 1 :].addr_(factor[at, at + 1 :], errors[at], alpha=-1)
    return errors


UPDATES.add(
    Update(
        name="obs",
        title="OBS update (SparseGPT)",
        explanation="Goes through the columns once; the columns to the right of a removed weight are adjusted to make up for it.",
        formula=r"W_{:,j+1:} \mathrel{-}= \frac{w_j - \hat w_j}{U_{jj}}\, U_{j,j+1:}",
        paper=papers.SPARSEGPT,
        function=obs,
        needs=frozenset({Need.HESSIAN}),
    )
)
