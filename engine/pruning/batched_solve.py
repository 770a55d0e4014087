"""Solve many symmetric systems, each on its own rows and columns of one matrix: `x_S = (M_SS)^-1 r_S` for one
set S per row.

Rows with sets of similar size form a batch, padded to the largest set with an identity: `sum |S|^3 / 3`
operations, and a few times `|S|^2` numbers per row in memory. On an accelerator a batch is as large as fits,
and its factors grow by panels in large batched products (`by_panels`). On a CPU a batch is sized for the
caches and goes to LAPACK (`by_library`), and each thread solves its own batches: threads that share a small
product mostly wait for each other, and much longer if another process occupies a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.hardware.device import share_threads
from engine.hardware.memory import batch_bytes, budget, pieces_that_fit

if TYPE_CHECKING:
    from torch import Tensor


ALIGNMENT = 16
"""Sizes are padded to a multiple of this many numbers, 64 bytes of float32."""
SLACK = 1 / 16
"""How much smaller than the largest set of a batch a set may be to join it: padding then costs at most a
fifth of the operations.
"""
Piece = tuple[int, int, int]
"""First row, end row and padded set size of a batch, with the rows sorted by decreasing set size."""


def solve(matrix: Tensor, members: Tensor, right: Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Solve `M_SS x_S = r_S` for each row.

    Args:
        matrix: M, `[in, in]`, symmetric positive definite.
        members: S of each row, `[rows, in]` bool.
        right: r, `[rows, in]`.
        most: bytes that temporaries may take; None for half of the free memory. A batch has at least one row.

    Returns:
        x, `[rows, in]`, 0 outside S, and which rows failed, `[rows]` bool; their x is meaningless.
    """
    solution, failed = torch.zeros_like(right), torch.zeros(len(right), dtype=torch.bool, device=right.device)
    # Largest first: a piece is then a run of `order`, and its first row determines its width.
    sizes, order = members.sum(1).sort(descending=True, stable=True)
    counts = sizes.tolist()  # one transfer from the device instead of one per piece
    factored, workers, most = _solver(
        matrix, max(counts, default=0), budget(matrix.device) if most is None else most
    )

    # Runs in several threads at once on a CPU. No lock is needed: pieces are disjoint sets of rows, and
    # everything else is only read.
    def work(piece: Piece) -> None:
        start, stop, width = piece
        rows = order[start:stop]
        # [batch, width]: the columns of S, then any others as padding
        columns = members[rows].to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :width]
        real = torch.arange(width, device=rows.device) < sizes[start:stop, None]  # [batch, width]
        # The last row has the smallest set, so if it fills the width, no row is padded.
        systems = Systems(matrix, columns, real, padded=counts[stop - 1] < width)
        # A right side of 0 makes the solution 0 in the padding, whose system is the identity.
        solved, wrong = factored(systems, right[rows].gather(1, columns) * systems.real)
        solution[rows] = torch.zeros_like(right[rows]).scatter_(1, columns, solved)
        failed[rows] = wrong | ~solved.isfinite().all(1)

    share_threads(work, _pieces(counts, matrix, batch_bytes(most // workers, matrix.device)), workers)
    return solution, failed


@dataclass(frozen=True)
class Systems:
    """The systems of some rows, padded to one size.

    Attributes:
        matrix: M, `[in, in]`.
        columns: the members of each set followed by any other columns as padding, `[batch, width]`.
        real: which of them are members, `[batch, width]` bool.
        padded: whether there is any padding.
    """

    matrix: Tensor
    columns: Tensor
    real: Tensor
    padded: bool

    def rows(self, start: int, stop: int) -> Tensor:
        """Return rows `start:stop` of each `M_SS` from the diagonal on, with an identity in the padding,
        `[batch, rows, width - start]`.
        """
        rows, columns = self.columns[:, start:stop], self.columns[:, None, start:]
        whole = self.matrix.index_select(0, rows.flatten()).unflatten(0, rows.shape)  # [batch, rows, in]
        gathered = whole.gather(2, columns.expand(-1, stop - start, -1))
        if self.padded:
            # 0 in the rows and columns of the padding
            gathered *= self.real[:, start:stop, None] & self.real[:, None, start:]
            gathered.diagonal(dim1=1, dim2=2).add_(~self.real[:, start:stop])  # and 1 on its diagonal
        return gathered


def by_library(systems: Systems, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return x, `[batch, width]`, and which systems are not positive definite, `[batch]`; `right` must be 0
    in the padding.
    """
    # Unlike `cholesky`, `cholesky_ex` reports failures per system instead of raising for the whole batch.
    lower, info = torch.linalg.cholesky_ex(systems.rows(0, right.shape[1]))
    half = torch.linalg.solve_triangular(lower, right[:, :, None], upper=False)  # L y = r
    # L^T x = y
    return torch.linalg.solve_triangular(lower.mT, half, upper=True)[:, :, 0], info != 0


def by_panels(systems: Systems, right: Tensor) -> tuple[Tensor, Tensor]:
    """Like `by_library`, but computes `M_SS = R^T R` one panel of rows at a time.

    A panel takes a gather, one product with the panels above it, the factorisation of its small square on the
    diagonal, and one more product, each in a single batched kernel. A library's batched Cholesky is designed
    for small matrices only.
    """
    batch, width = right.shape
    factor = right.new_empty(batch, width, width)  # R; below the diagonal squares it is never read
    solved, failed = right[:, :, None].clone(), torch.zeros(batch, dtype=torch.bool, device=right.device)
    step, inverses = panel_rows(width), []
    for start in range(0, width, step):
        stop = min(start + step, width)
        above = factor[:, :start, start:stop].mT  # [batch, step, start]
        # [batch, step, width - start]
        # The Schur complement's rows: M minus what the panels above contribute.
        panel = systems.rows(start, stop).baddbmm_(above, factor[:, :start, start:], alpha=-1)
        lower, info = torch.linalg.cholesky_ex(panel[:, :, : stop - start])
        identity = torch.eye(stop - start, dtype=lower.dtype, device=lower.device)
        inverse = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
        # Inverting the small square turns the triangular solve of the wide panel into a product.
        factor[:, start:stop, start:] = inverse @ panel
        solved[:, start:stop] = inverse @ (solved[:, start:stop] - above @ solved[:, :start])  # R^T y = r
        inverses.append((start, stop, inverse))
        failed |= info != 0
    for start, stop, inverse in reversed(inverses):  # R x = y
        solved[:, start:stop] = inverse.mT @ (
            solved[:, start:stop] - factor[:, start:stop, stop:] @ solved[:, stop:]
        )
    return solved[:, :, 0], failed


def panel_rows(width: int) -> int:
    """Return the rows of a panel: enough for fast products, few enough to keep the squares on the diagonal
    small.
    """
    return min(128, max(32, width // 24 // ALIGNMENT * ALIGNMENT))


def bytes_each(width: int, matrix: Tensor) -> int:
    """Return the bytes that a row with this padded set size takes in a batch: the gathered rows of M, the
    square matrices made of them, and some vectors.
    """
    on_cpu, columns = matrix.device.type == "cpu", len(matrix)
    at_a_time = width if on_cpu else panel_rows(width)
    squares = 3 * width * width if on_cpu else width * width + 3 * width * at_a_time  # by_library, by_panels
    # The last term is for indices, which are int64.
    return matrix.element_size() * (at_a_time * columns + squares + 4 * columns) + 16 * columns


def _solver(
    matrix: Tensor, widest: int, most: int
) -> tuple[Callable[[Systems, Tensor], tuple[Tensor, Tensor]], int, int]:
    """Return the solver for the matrix's device, the number of parallel batches, and the bytes for all of
    them.
    """
    if matrix.device.type != "cpu":
        return by_panels, 1, most
    return by_library, pieces_that_fit(torch.get_num_threads(), bytes_each(widest, matrix), most), most


def _pieces(sizes: list[int], matrix: Tensor, most: int) -> Iterator[Piece]:
    """Yield batches of at most `most` bytes each, for decreasing sizes; rows with empty sets are in none."""
    start, total = 0, len(sizes) - sizes.count(0)
    while start < total:
        width = min(len(matrix), -(-sizes[start] // ALIGNMENT) * ALIGNMENT)  # rounded up
        # Small sets differ by less than the alignment, so SLACK alone would make a batch of each size.
        least = min(width - ALIGNMENT, sizes[start] * (1 - SLACK))
        like = next((at for at in range(start, total) if sizes[at] < least), total) - start
        stop = start + pieces_that_fit(like, bytes_each(width, matrix), most)
        yield start, stop, width
        start = stop
