"""Results for one linear of a finished run: plain values and numpy arrays, never more than a screen can show.

`Picture` and `Spectrum` only need the weights and the mask; a `Study` also needs the calibration text, passed
through the pruned blocks before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.record.parts import Ties

Numbers = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]
Values = NDArray[Any]
"""Numbers, counts or words: anything that an axis can have."""
Span = tuple[int, int]
"""From inclusive to exclusive."""


# `eq=False`, because comparing arrays gives arrays, on which a generated `__eq__` would fail.
@dataclass(frozen=True, eq=False)
class Picture:
    """A part of a weight, dense and pruned, with its mask: single entries, or pooled over cells if there are
    too many.

    Attributes:
        shape: of the whole weight, `(out, in)`.
        rows, columns: the part.
        cell: rows and columns of a cell; `(1, 1)` if cells are single entries. The last cells may be smaller.
        dense, pruned: entries with their sign, `[rows, columns]`; of larger cells the mean absolute entry, in
            which removed weights count as 0.
        kept: share of kept weights per cell.
        row_removed, column_removed: weights removed from each row `[out]` and column `[in]` of the whole
            weight.
        moved: how far the update moved the kept weights, `||W' - W|| / ||W||` over them; 0 without an update.
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
        """Whether cells contain several weights."""
        return self.cell != (1, 1)

    @property
    def whole(self) -> bool:
        """Whether it is the whole weight."""
        return (self.rows, self.columns) == ((0, self.shape[0]), (0, self.shape[1]))

    @property
    def removed(self) -> int:
        """Weights removed from the whole linear."""
        return int(self.row_removed.sum())

    @property
    def sparsity(self) -> float:
        """Share of removed weights in the whole linear."""
        return self.removed / (self.shape[0] * self.shape[1])


@dataclass(frozen=True, eq=False)
class Scores:
    """How a method scored the weights of a linear, and the cuts between kept and removed weights.

    Attributes:
        edges: of the histogram's bins, `[bins + 1]`, evenly spaced in the logarithm, and then scores below
            the first edge are in the first bin; evenly spaced themselves if a score is negative.
        kept, removed: weights of the run's mask in each bin.
        zeros: scores that are exactly 0.
        cuts: the highest removed score of each comparison group: minimum, 5 %, median, 95 % and maximum over
            the groups. None if nothing was removed.
        groups: number of groups.
        group: what a group is: `layer`, `row`, `block` (128 columns of all rows) or `n:m`.
        moved: weights for which the run's mask differs from the scores' decision; 0 without a refinement.
        running: whether weights were scored during the update, on weights that it had already changed.
        ties: weights that the scores did not decide about.
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
    ties: Ties

    @property
    def logarithmic(self) -> bool:
        """Whether the bins are evenly spaced in the logarithm."""
        return bool(self.edges[0] > 0)


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of an N:M pattern.

    Attributes:
        n, m: at most n of each m are kept.
        kept: how many groups keep 0, 1, ... m weights, `[m + 1]`.
        order: the columns of the sample, `[shown]`.
        permuted: whether the columns were permuted before grouping.
        rows: the rows of the sample.
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
    """An output neuron and its error on the calibration text.

    Attributes:
        error: `||y - y'|| / ||y||` over the sampled tokens.
        share: of the linear's total squared error.
        sparsity: share of its weights that is removed.
    """

    row: int
    error: float
    share: float
    sparsity: float


@dataclass(frozen=True, eq=False)
class Study:
    """What the calibration text shows about a linear, as the run's methods observed it.

    Attributes:
        norms: activation norm of each input, `[in]` (Wanda's `a_j`).
        scores: None if the method decides whole groups, or if no text reached the linear.
        unscored: why there are no scores, else empty.
        lost: the rows with the largest relative error, the largest first.
        median_error: of all rows.
        error: relative error of the whole output.
        groups: None unless the pattern is N:M.
        tokens: calibration tokens that reached the linear; `sampled` those on which errors are measured.
        notes: sentences about approximations.
        seconds: computing time.
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
class Tried:
    """What a score alone does to a linear.

    Attributes:
        picture: the weight and its mask.
        error: relative error of the output on the sampled tokens.
    """

    scores: Scores
    picture: Picture
    error: float


@dataclass(frozen=True, eq=False)
class Preview:
    """A score tried on one linear of the dense model, next to another one.

    Attributes:
        other: Wanda's.
        same: share of the weights about which both decide the same.
        tokens: calibration tokens that reached the linear.
    """

    mine: Tried
    other: Tried
    same: float
    tokens: int


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of the dense and the pruned weight, the largest first, `[min(out, in)]` each."""

    dense: Numbers
    pruned: Numbers
