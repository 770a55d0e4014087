"""What is said of one linear of a finished run: plain values and numpy arrays, never more than a screen can
show.

`Picture` and `Spectrum` follow from weights and mask alone; a `Study` also needs the calibration text, passed
through the pruned blocks before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]
Values = NDArray[Any]
"""Numbers, counts or words: what can be put along an axis."""
Span = tuple[int, int]
"""From, inclusive, and to, exclusive."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A part of a weight, dense and pruned, with its mask: entry by entry, or pooled over cells where the
    part has more than a screen shows.

    Attributes:
        shape: of the whole weight, `(out, in)`.
        rows, columns: the part.
        cell: rows and columns that a cell stands for; `(1, 1)` where the cells are the entries. The last ones
            may stand for fewer.
        dense, pruned: the entries with their sign; of larger cells the mean absolute entry, pruned ones
            counting as 0.
        kept: share of a cell's weights that the mask keeps.
        row_removed, column_removed: weights removed from each row `[out]` and column `[in]` of the whole
            weight.
        moved: how far the update moved the weights that stay, `||W' - W|| / ||W||` over them; 0 where they
            stay as they were.
    """

    shape: tuple[int, int]
    rows: Span
    columns: Span
    cell: tuple[int, int]
    dense: Numbers
    pruned: Numbers
    kept: Numbers
    row_removed: Counts
    column_removed: Counts
    moved: float

    @property
    def pooled(self) -> bool:
        """Whether cells stand for several weights."""
        return self.cell != (1, 1)

    @property
    def whole(self) -> bool:
        """Whether all of the weight is shown."""
        return (self.rows, self.columns) == ((0, self.shape[0]), (0, self.shape[1]))

    @property
    def removed(self) -> int:
        """Weights removed from the whole linear."""
        return int(self.row_removed.sum())

    @property
    def sparsity(self) -> float:
        """Share of the whole linear's weights that is removed."""
        return self.removed / (self.shape[0] * self.shape[1])


@dataclass(frozen=True, eq=False)
class Scores:
    """How a method weighed the weights of a linear, and where that parted those that stay from those that go.

    Attributes:
        edges: of the histogram's bins, `[bins + 1]`, evenly spaced in the logarithm; scores below the first
            edge are in the first bin.
        kept, removed: weights of the run's mask in each bin.
        zeros: scores that are exactly 0.
        cuts: the highest removed score of the comparison groups: least, 5 %, median, 95 % and most over the
            groups. None where nothing was removed.
        groups: how many groups there are.
        group: what a group is: `layer`, `row`, `block` (128 columns of all rows) or `n:m`.
        moved: weights whose fate differs between what the scores say and the run's mask; 0 unless a
            refinement moved them.
        running: whether each weight was weighed on the weights as updated so far, when its turn came.
    """

    edges: Numbers
    kept: Counts
    removed: Counts
    zeros: int
    cuts: tuple[float, float, float, float, float] | None
    groups: int
    group: str
    moved: int
    running: bool


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of an N:M pattern.

    Attributes:
        n, m: at most n of each m are kept.
        kept: how many groups keep 0, 1, ... m weights, `[m + 1]`.
        order: the columns `[shown]` in the order in which the sample has them.
        permuted: whether groups are made of columns that do not stand side by side.
        rows: the sample's first row and the one behind its last.
        weight: a sample of the dense entries, `[rows, shown]`: the first groups of a few rows.
        keep: the mask of the sample.
    """

    n: int
    m: int
    kept: tuple[int, ...]
    order: Counts
    permuted: bool
    rows: Span
    weight: Numbers
    keep: NDArray[np.bool_]

    @property
    def violations(self) -> int:
        """Groups that keep more than n."""
        return sum(self.kept[self.n + 1 :])


@dataclass(frozen=True)
class LostRow:
    """An output neuron and what pruning did to it on the calibration text.

    Attributes:
        error: `||y - y'|| / ||y||` over the sampled tokens.
        share: of the linear's whole squared error.
        sparsity: share of its weights removed.
    """

    row: int
    error: float
    share: float
    sparsity: float


@dataclass(frozen=True, eq=False)
class Study:
    """What the calibration text says about a linear, as the run's methods saw it.

    Attributes:
        norms: activation norm of each input, `[in]` (Wanda's `a_j`).
        scores: None where the method decides whole groups, or where no text reached the linear; `unscored`
            says why.
        lost: the rows with the largest relative error, the largest first.
        median_error: of all rows.
        error: relative error of the whole output.
        groups: None unless the pattern is N:M.
        tokens: calibration tokens that the linear has seen; `sampled` those that the errors are measured on.
        notes: sentences about approximations.
        seconds: that the study took.
    """

    norms: Numbers
    scores: Scores | None
    unscored: str
    lost: tuple[LostRow, ...]
    median_error: float
    error: float
    groups: Groups | None
    tokens: int
    sampled: int
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of the dense and the pruned weight, the largest first, `[min(out, in)]` each."""

    dense: Numbers
    pruned: Numbers
