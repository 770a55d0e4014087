"""NeuroAL's neuron alignment: how differently a linear's input neurons fire once the block before and around it is pruned."""

from __future__ import annotations

from torch import Tensor


def alignment(dense: Tensor, pruned: Tensor) -> float:
    """`|| d / sum(d) - q / sum(q) ||_2 / in` of the activation norms d and q, `[in]`; 0 = unchanged (arXiv 2411.07066, equation 3).

    Norms that are all zero count as zeros.
    """
    difference = _normalised(dense) - _normalised(pruned)
    return float(difference.norm()) / len(dense)


def _normalised(norms: Tensor) -> Tensor:
    total = norms.sum()
    return norms / total if total > 0 else norms
