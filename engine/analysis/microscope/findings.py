"""What is measured on one linear: score distribution, N:M groups, row errors, and singular values.

Pure functions of tensors; the results are small enough for a page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.analysis.microscope.decision import Decision, cuts, group_count
from engine.analysis.microscope.types import Groups, LostRow, Numbers, Scores, Spectrum
from engine.pruning.patterns import Pattern
from engine.record.parts import Ties

BINS = 64
DECADES = 6  # otherwise a single tiny score would stretch the range
"""Powers of ten below the highest score that the bins cover at most."""
CUT_LEVELS = (0.0, 0.05, 0.5, 0.95, 1.0)  # quantiles, in the order of `Scores.cuts`
SAMPLE_ROWS, SAMPLE_COLUMNS = 8, 32
"""Entries of the sample of N:M groups: what a page can show with numbers."""
WORST_ROWS = 12
QUICK = 1e9
"""`out * in * min(out, in)` up to which both decompositions take about a second on two CPU cores."""


def score_distribution(decision: Decision, keep: Tensor, pattern: Pattern, *, running: bool) -> Scores:
    """Return the histograms of a decision's scores, for the kept and for the removed weights.

    Args:
        keep: the run's final mask `[out, in]`, after any refinement.
        pattern: which weights competed.
        running: whether the scores are those of weights that an update had already changed.
    """
    scores = decision.scores.double().cpu().numpy()
    kept = keep.cpu().numpy()
    edges = _edges(scores)
    inside = np.clip(scores, edges[0], edges[-1])  # zeros and lower scores go into the first bin
    rows, columns = scores.shape
    tied, tied_removed = decision.ties.tolist()
    return Scores(
        edges=edges,
        kept=np.histogram(inside[kept], edges)[0],
        removed=np.histogram(inside[~kept], edges)[0],
        zeros=int((scores == 0).sum()),
        cuts=_cut_quantiles(cuts(decision, pattern)),
        groups=group_count((rows, columns), pattern),
        group=pattern.group_name,
        moved=int((decision.keep.cpu() != keep.cpu()).sum()),
        running=running,
        ties=Ties(weights=tied, removed=tied_removed, share=tied / scores.size),
    )


def _edges(scores: Numbers) -> Numbers:
    """Return bin edges, evenly spaced in the logarithm, from the lowest positive score to the highest.

    They start at most `DECADES` below the highest score. If a score is negative, they are evenly spaced from
    the lowest score to the highest.
    """
    if (lowest := float(scores.min())) < 0:
        return np.linspace(lowest, max(float(scores.max()), lowest * 0.5), BINS + 1)
    positive = scores[scores > 0]
    if not positive.size:  # any edges do for scores that are all 0
        return np.logspace(-1, 0, BINS + 1)
    high = float(positive.max())
    low = max(float(positive.min()), high * 10.0**-DECADES)
    # Equal scores would give bins of width 0.
    return np.geomspace(low, high, BINS + 1) if low < high else np.geomspace(high / 2, high * 2, BINS + 1)


def _cut_quantiles(group_cuts: Tensor) -> tuple[float, float, float, float, float] | None:
    if not len(group_cuts):
        return None
    values = group_cuts.to("cpu", torch.float64).numpy()
    least, low, middle, high, most = np.quantile(values, CUT_LEVELS).tolist()
    return least, low, middle, high, most


def sample_groups(
    weight: Tensor, keep: Tensor, pattern: Pattern, order: Tensor | None = None
) -> Groups | None:
    """Return the number of groups by kept weights, and the first groups of some rows as a sample.

    Args:
        weight: dense, `[out, in]`.
        keep: the mask `[out, in]`.
        order: the permuted order of the columns, `[in]`; None for their own.

    Returns:
        None for a pattern without N:M groups.
    """
    m = pattern.group_width
    if m is None:
        return None
    columns = torch.arange(keep.shape[1]) if order is None else order.cpu()  # [in], column at each position
    kept = keep.cpu()[:, columns]
    counts = kept.reshape(-1, m).sum(1).bincount(minlength=m + 1)  # [groups, m] -> [m + 1]
    shown = columns[: max(1, SAMPLE_COLUMNS // m) * m]  # whole groups only
    rows = min(SAMPLE_ROWS, len(keep))
    return Groups(
        **pattern.n_and_m,
        kept=tuple(counts.tolist()),
        order=shown.numpy(),
        permuted=order is not None,
        rows=(0, rows),
        weight=weight[:rows].cpu().float()[:, shown].numpy(),
        keep=kept[:rows, : len(shown)].numpy(),
    )


@dataclass(frozen=True)
class RowErrors:
    """The rows with the largest relative error, the median of all rows, and the error of the whole output."""

    worst: tuple[LostRow, ...]
    median: float
    error: float


def row_errors(inputs: Tensor, dense: Tensor, pruned: Tensor, keep: Tensor) -> RowErrors:
    """Return the relative errors of the output per row, the largest first.

    Args:
        inputs: `[tokens, in]`.
        dense, pruned: the weight before and after, `[out, in]`.
        keep: the mask `[out, in]`.
    """
    outputs = inputs @ dense.T  # [tokens, out]
    squared_errors = (outputs - inputs @ pruned.T).square().sum(0).double()  # [out]
    squared_norms = outputs.square().sum(0).double()  # [out]
    # a row that was always 0 has no relative error
    errors = (squared_errors / squared_norms.where(squared_norms > 0, 1)).sqrt() * (squared_norms > 0)
    # The clamp avoids 0 / 0 if nothing is lost.
    shares = squared_errors / squared_errors.sum().clamp(min=torch.finfo(torch.float64).tiny)
    sparsity = 1 - keep.double().mean(1)
    # Equal errors in the order of the rows.
    worst = errors.argsort(descending=True, stable=True)[:WORST_ROWS].tolist()
    total = squared_norms.sum()
    return RowErrors(
        worst=tuple(
            LostRow(row, float(errors[row]), float(shares[row]), float(sparsity[row])) for row in worst
        ),
        median=float(errors.quantile(0.5)),
        error=float((squared_errors.sum() / total).sqrt()) if total > 0 else 0.0,
    )


def is_quick(rows: int, columns: int) -> bool:
    """Return whether the singular values of a weight of this shape are fast to compute."""
    return rows * columns * min(rows, columns) <= QUICK


def spectrum(dense: Tensor, pruned: Tensor) -> Spectrum:
    """Return the singular values of both weights `[out, in]`, computed in float32."""
    return Spectrum(
        torch.linalg.svdvals(dense.float()).cpu().numpy(), torch.linalg.svdvals(pruned.float()).cpu().numpy()
    )
