"""The scores of a linear as two histograms, of the weights that stay and of those that go, and the cut between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.inspection.decision import Decision, cuts, group_count, group_name
from engine.inspection.facts import Numbers, Scores
from engine.pruning.patterns import Pattern

BINS = 64
DECADES = 6
"""Powers of ten below the highest score that the bins reach down at most."""
LEVELS = (0.0, 0.05, 0.5, 0.95, 1.0)


def score_facts(decision: Decision, keep: Tensor, pattern: Pattern, *, running: bool) -> Scores:
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
        group=group_name(pattern),
        moved=int((decision.keep.cpu() != keep.cpu()).sum()),
        running=running,
    )


def _edges(scores: Numbers) -> Numbers:
    """Evenly spaced in the logarithm, from the least positive score (or some decades below the highest) to the highest."""
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
