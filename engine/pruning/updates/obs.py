"""SparseGPT's sequential update: column by column, the later columns compensate for what was just removed.

Cost: one factorisation of the Hessian (shared by linears with the same input) and `out * in^2 / 2`
multiply-adds. The columns are processed in blocks of 128 and sub-blocks of 16, so that nearly all of a
column's effect on later columns is applied in matrix products. On an accelerator, where each of the small
steps of a single column would cost as much as a large one, the columns of a sub-block are solved for
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.pruning import papers
from engine.pruning.axes import UPDATES, MaskSource, Update, Updated
from engine.pruning.effort import Effort
from engine.pruning.patterns import BLOCK_WIDTH
from engine.pruning.statistics import Need, Statistics
from engine.pruning.weights import integers_like, masked

if TYPE_CHECKING:
    from torch import Tensor


SUB_BLOCK_WIDTH = 16  # columns; speed only, the result is the same up to rounding
NUMBERS = 75
"""Numbers read or written per weight besides the products, measured on a CPU."""


def obs(weight: Tensor, statistics: Statistics, source: MaskSource) -> Updated:
    """Prune and update a weight `[out, in]`, float32 (SparseGPT, arXiv 2301.00774, algorithm 1)."""
    factor = statistics.factor
    running = weight.T.clone(memory_format=torch.contiguous_format)  # [in, out]
    if factor.may_have_dead:
        running.masked_fill_(factor.dead[:, None], 0)
    sweep = _Sweep(running, factor.upper, torch.ones_like(running, dtype=torch.bool), source)
    pieces: tuple[int, ...] = widths(source.step)
    if sweep.solves and source.step is not None and source.step < pieces[-1]:
        pieces += (source.step,)  # what is solved for together has to be decided together
    sweep.process(0, len(running), pieces)
    keep = sweep.keep.T.contiguous()
    updated, all_kept = masked(running.T, keep), keep.all()
    # If nothing is removed, nothing may change, not even columns that are never activated. A CPU knows
    # whether that is so, and need not choose entry by entry.
    if keep.device.type != "cpu":
        updated = weight.where(all_kept, updated)
    elif all_kept:
        updated = weight.clone()
    return Updated(updated, keep, factor.warnings)


def widths(step: int | None) -> tuple[int, int]:
    """Return the columns of a block and of a sub-block: about 128 and 16, and such that columns that the mask
    source decides together never begin inside an unfinished piece.
    """
    # For N:M, m = 4 gives (128, 16), m = 6 gives (120, 12) and m = 20 gives (120, 20).
    if step is None or step >= BLOCK_WIDTH:
        return step or BLOCK_WIDTH, SUB_BLOCK_WIDTH
    small = max(step, SUB_BLOCK_WIDTH // step * step)
    return BLOCK_WIDTH // small * small, small


@dataclass(frozen=True)
class _Sweep:
    """A weight while its columns are processed from left to right.

    Attributes:
        running: the weight as updated so far, transposed, `[in, out]`.
        upper: U with `H^-1 = U^T U`, `[in, in]`.
        keep: the mask as decided so far, transposed, `[in, out]`.
        source: decides the mask.
    """

    running: Tensor
    upper: Tensor
    keep: Tensor
    source: MaskSource

    @property
    def solves(self) -> bool:
        """Whether the columns of the smallest pieces are solved for together."""
        return self.running.device.type != "cpu"

    def process(self, start: int, stop: int, pieces: tuple[int, ...]) -> Tensor:
        """Process the columns `start:stop` in pieces; return their errors divided by U_jj, `[columns, out]`.

        The errors of a piece are applied to the columns after it, up to `stop`, in one product. A piece is
        itself processed in smaller pieces.
        """
        if not pieces:
            return self._together(start, stop) if self.solves else self._one_by_one(start, stop)
        width, *smaller = pieces
        errors = []
        for first in range(start, stop, width):
            last = min(first + width, stop)
            errors.append(self.process(first, last, tuple(smaller)))
            if last < stop:
                # [later, out] -= [later, piece] @ [piece, out]
                self.running[last:stop].addmm_(self.upper[first:last, last:stop].T, errors[-1], alpha=-1)
        return torch.cat(errors)

    def _one_by_one(self, start: int, stop: int) -> Tensor:
        """Prune columns, deciding the mask where a group begins; return their errors divided by U_jj,
        `[columns, out]`.
        """
        # The calls cost more than the arithmetic, and NumPy's take a third of the time of PyTorch's.
        running, upper = self.running[start:stop], self.upper[start:stop, start:stop]
        errors = torch.empty_like(running)
        integer = integers_like(errors)
        values, lines, bits = running.numpy(), errors.numpy(), errors.view(integer).numpy()
        columns = upper.T.contiguous().numpy()  # [column, earlier column]
        together = min(self.source.step or stop, stop - start)
        for first in range(0, stop - start, together):
            last = first + together
            if first:
                running[first:last].addmm_(upper[:first, first:last].T, errors[:first], alpha=-1)
            self._decide(start + first)
            # All bits set where pruned: there w'_j = 0, elsewhere is no error.
            pruned = self.keep[start + first : start + last].view(torch.int8).sub(1).to(integer).numpy()
            for at, mask in enumerate(pruned, first):
                if at > first:
                    values[at] -= np.einsum("i,ij->j", columns[at, first:at], lines[first:at])
                # (w_j - w'_j) / U_jj. The pruned values stay in `running`, as no later column reads them;
                # `obs` zeroes them at the end.
                np.divide(values[at], columns[at, at], out=lines[at])
                bits[at] &= mask
        return errors

    def _together(self, start: int, stop: int) -> Tensor:
        """Prune columns whose mask is decided at `start`; return their errors divided by U_jj,
        `[columns, out]`.

        With m_j = 1 where column j is pruned, its error e_j is `m_j (w_j - sum_{i<j} e_i U_ij) / U_jj`: one
        small triangular system per row.
        """
        self._decide(start)
        pruned = ~self.keep[start:stop].T  # [out, columns]
        upper = self.upper[start:stop, start:stop]
        diagonal = torch.eye(stop - start, dtype=torch.bool, device=upper.device)
        lower = upper.T.where(pruned[:, :, None] | diagonal, 0)  # [out, columns, columns]
        right = self.running[start:stop].T.masked_fill(~pruned, 0)
        solved = torch.linalg.solve_triangular(lower, right[:, :, None], upper=False)[:, :, 0]
        errors = solved.T.contiguous()
        self.running[start:stop].addmm_(upper.triu(1).T, errors, alpha=-1)
        return errors

    def _decide(self, at: int) -> None:
        """Decide the mask of the columns from `at` on, if their group begins there."""
        step = self.source.step or len(self.running)
        if at % step == 0:
            decided = slice(at, min(at + step, len(self.running)))
            # These columns already contain the updates of all columns before `at`: pieces end where groups
            # begin, see `widths`.
            self.keep[decided] = self.source.keep(decided, self.running[decided].T).T


def effort(rows: int, columns: int, sparsity: float) -> Effort:
    """Return what `obs` computes for a linear at any sparsity, not counting the statistics."""
    return Effort(
        operations=rows * columns**2,  # out * in^2 / 2 multiply-adds, 2 each
        numbers=NUMBERS * rows * columns,
        steps=columns,
    )


UPDATES.add(
    Update(
        name="obs",
        title="OBS update (SparseGPT)",
        explanation="Processes the columns from left to right; the columns to the right of a removed weight "
        "are adjusted to compensate for it.",
        helps="Recovers much of any mask's error at the cost of a Hessian. Columns on the left cannot "
        "compensate for those on the right.",
        formula=r"W_{:,j+1:} \mathrel{-}= \frac{w_j - \hat w_j}{U_{jj}}\, U_{j,j+1:}",
        paper=papers.SPARSEGPT,
        function=obs,
        needs=frozenset({Need.HESSIAN}),
        running=lambda parameters: True,
        effort=effort,
    )
)
