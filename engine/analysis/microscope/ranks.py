"""The rank correlation of two columns of numbers, and the stable rank of a weight."""

from __future__ import annotations

import numpy as np

from engine.analysis.microscope.types import Numbers


def rank_correlation(left: Numbers, right: Numbers) -> float | None:
    """Return Spearman's rank correlation, with tied values sharing their mean rank; None if one side is
    constant.
    """
    ranks = [_ranks(np.asarray(values)) for values in (left, right)]
    spreads = [rank.std() for rank in ranks]
    if min(spreads) == 0:  # the correlation is undefined
        return None
    return float(
        ((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / (spreads[0] * spreads[1])
    )


def _ranks(values: Numbers) -> Numbers:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()  # the highest rank among each value's ties
    ranks: Numbers = (last - (counts - 1) / 2)[which]
    return ranks


def stable_rank(values: Numbers) -> float:
    """Return `||W||_F^2 / sigma_1^2` from the singular values, the largest first; 0 for a zero matrix."""
    wide = values.astype(np.float64)  # a float32 sum of many squares loses digits
    return float((wide**2).sum() / wide[0] ** 2) if wide[0] > 0 else 0.0
