"""SparseGPT's sequential update: column by column, the later columns make up for what was just removed.

Cost: one factorisation of the Hessian (shared by linears with the same input) and `out * in^2 / 2`
multiply-adds. The columns are worked through in blocks of 128 and sub-blocks of 16, so that all but the last
few of a column's effects travel in matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, Update, Updated
from engine.pruning.patterns import BLOCK_WIDTH
from engine.pruning.statistics import Need, Statistics

SUB_BLOCK_WIDTH = 16


def obs(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """Prune and update a weight `[out, in]`, float32 (SparseGPT, arXiv 2301.00774, algorithm 1)."""
    factor = statistics.factor
    running = weight.T.clone()  # [in, out]: a column of the weight is contiguous
    running[factor.dead] = 0
    work = _Work(running, factor.upper, torch.ones_like(running, dtype=torch.bool), source)
    work.through(0, len(running), widths(source.step))
    keep = work.keep.T.contiguous()
    if (
        keep.all()
    ):  # nothing is removed, so nothing changes: not even the columns that this text never activates
        return Updated(weight.clone(), keep, factor.warnings)
    return Updated(running.T.masked_fill(~keep, 0), keep, factor.warnings)


def widths(step: int | None) -> tuple[int, int]:
    """Columns a block and a sub-block: about 128 and 16, such that what the mask source decides at once never
    begins inside an unfinished piece.
    """
    if step is None or step >= BLOCK_WIDTH:
        return step or BLOCK_WIDTH, SUB_BLOCK_WIDTH
    small = max(step, SUB_BLOCK_WIDTH // step * step)
    return BLOCK_WIDTH // small * small, small


@dataclass(frozen=True)
class _Work:
    """A weight on its way through the columns.

    Attributes:
        running: the weight as updated so far, transposed, `[in, out]`.
        upper: U with `H^-1 = U^T U`, `[in, in]`.
        keep: the mask as decided so far, transposed, `[in, out]`.
    """

    running: Tensor
    upper: Tensor
    keep: Tensor
    source: MaskSource

    def through(self, start: int, stop: int, pieces: tuple[int, ...]) -> Tensor:
        """Work through the columns `start:stop`, piece by piece; their errors over U_jj, `[columns, out]`.

        The errors of a piece reach the columns behind it, up to `stop`, in one product; a piece is worked
        through the same way in smaller pieces.
        """
        if stop - start == 1:
            return self._column(start)[None]
        width, *smaller = pieces or (1,)
        errors = []
        for first in range(start, stop, width):
            last = min(first + width, stop)
            errors.append(self.through(first, last, tuple(smaller)))
            if last < stop:
                self.running[last:stop].addmm_(self.upper[first:last, last:stop].T, errors[-1], alpha=-1)
        return torch.cat(errors)

    def _column(self, at: int) -> Tensor:
        """Prune one column, whose mask is decided now if its group begins here; its error over U_jj, `[out]`."""
        step = self.source.step or len(self.running)
        if at % step == 0:
            decided = slice(at, min(at + step, len(self.running)))
            self.keep[decided] = self.source.keep(decided, self.running[decided].T).T
        return (self.running[at] / self.upper[at, at]).masked_fill_(self.keep[at], 0)


UPDATES.add(
    Update(
        name="obs",
        title="OBS update (SparseGPT)",
        explanation="Goes through the columns once; the columns to the right of a removed weight are adjusted to make up for it.",
        helps="Takes back much of any mask's error at the price of a Hessian; columns on the left can no longer help those on the right.",
        formula=r"W_{:,j+1:} \mathrel{-}= \frac{w_j - \hat w_j}{U_{jj}}\, U_{j,j+1:}",
        paper=papers.SPARSEGPT,
        function=obs,
        needs=frozenset({Need.HESSIAN}),
        running=True,
        operations=lambda rows, columns, sparsity: rows * columns**2,
    )
)
