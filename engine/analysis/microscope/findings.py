"""The scores of a linear as two histograms, of the weights that stay and of those that go, and the cut
between them.

The groups of an N:M pattern: how many weights each keeps, counted over the whole linear, and a few of them to
look at.

Which rows (output neurons) of a linear lost most, on a sample of the calibration text.

Singular values of a weight before and after pruning: what removing single weights does to the directions that
the linear passes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.analysis.microscope.decision import Decision, cuts, group_count
from engine.analysis.microscope.types import Groups, LostRow, Numbers, Scores, Spectrum
from engine.pruning.patterns import Pattern

QUICK = 1e9
"""`out * in * min(out, in)` up to which both decompositions take about a second on two CPU cores."""


def is_quick(rows: int, columns: int) -> bool:
    """Whether the singular values of a weight of this shape can be had without being asked for."""
    return rows * columns * min(rows, columns) <= QUICK


def spectrum(dense: Tensor, pruned: Tensor) -> Spectrum:
    """The singular values of both weights `[out, in]`, in float32."""
    return Spectrum(
        torch.linalg.svdvals(dense.float()).cpu().numpy(), torch.linalg.svdvals(pruned.float()).cpu().numpy()
    )


MOST = 12


@dataclass(frozen=True)
class Losses:
    """The rows that lost most, the largest relative error first; the median over all rows, and the error of
    the whole output.
    """

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
        lost=tuple(
            LostRow(row, float(errors[row]), float(shares[row]), float(sparsity[row])) for row in worst
        ),
        median=float(errors.quantile(0.5)),
        error=float((gone.sum() / whole).sqrt()) if whole > 0 else 0.0,
    )


SHOWN_ROWS, SHOWN_COLUMNS = 8, 32
"""Entries of the sample."""


def sample_groups(
    weight: Tensor, keep: Tensor, pattern: Pattern, order: Tensor | None = None
) -> Groups | None:
    """Count and sample the groups of a dense weight `[out, in]` with the mask `keep`; `order` is that of
    permuted columns, `[in]`. None for a pattern without such groups.
    """
    m = pattern.group_width
    if m is None:
        return None
    columns = torch.arange(keep.shape[1]) if order is None else order.cpu()
    stays = keep.cpu()[:, columns]
    counts = stays.reshape(-1, m).sum(1).bincount(minlength=m + 1)
    shown = columns[: max(1, SHOWN_COLUMNS // m) * m]
    rows = min(SHOWN_ROWS, len(keep))
    return Groups(
        **pattern.n_and_m,
        kept=tuple(counts.tolist()),
        order=shown.numpy(),
        permuted=order is not None,
        rows=(0, rows),
        weight=weight[:rows].cpu().float()[:, shown].numpy(),
        keep=stays[:rows, : len(shown)].numpy(),
    )


BINS = 64
DECADES = 6
"""Powers of ten below the highest score that the bins reach down at most."""
LEVELS = (0.0, 0.05, 0.5, 0.95, 1.0)


def score_distribution(decision: Decision, keep: Tensor, pattern: Pattern, *, running: bool) -> Scores:
    """The histograms of a decision's scores.

    Args:
        keep: the run's mask `[out, in]`, behind any refinement.
        pattern: which weights competed.
        running: whether the scores are those of weights on their way through an update.
    """
    scores = decision.scores.double().cpu().numpy()
    stays = keep.cpu().numpy()
    edges = _edges(scores)
    inside = np.clip(scores, edges[0], edges[-1])
    rows, columns = scores.shape
    return Scores(
        edges=edges,
        kept=np.histogram(inside[stays], edges)[0],
        removed=np.histogram(inside[~stays], edges)[0],
        zeros=int((scores == 0).sum()),
        cuts=_spread(cuts(decision, pattern)),
        groups=group_count((rows, columns), pattern),
        group=pattern.group_name,
        moved=int((decision.keep.cpu() != keep.cpu()).sum()),
        running=running,
    )


def _edges(scores: Numbers) -> Numbers:
    """Evenly spaced in the logarithm, from the least positive score (or some decades below the highest) to
    the highest.
    """
    positive = scores[scores > 0]
    if not positive.size:
        return np.logspace(-1, 0, BINS + 1)
    high = float(positive.max())
    low = max(float(positive.min()), high * 10.0**-DECADES)
    edges = np.geomspace(low, high, BINS + 1) if low < high else np.geomspace(high / 2, high * 2, BINS + 1)
    return edges


def _spread(found: Tensor) -> tuple[float, float, float, float, float] | None:
    if not len(found):
        return None
    least, low, middle, high, most = np.quantile(found.to("cpu", torch.float64).numpy(), LEVELS).tolist()
    return least, low, middle, high, most
