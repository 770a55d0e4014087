"""How far pruning has moved a model's activations: the hidden states of two streams, and the norms that a
linear's inputs have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from engine.models.language_model import Stream


def divergence(dense: Stream, pruned: Stream) -> tuple[float, float]:
    """Return `||h - h'||_F / ||h||_F` over all tokens and the mean cosine over tokens, for the hidden states
    of two streams at the same depth.
    """
    distance = norm = cosine = 0.0
    for h, h_pruned in zip(dense.hidden, pruned.hidden, strict=True):
        left, right = h.float().flatten(0, 1), h_pruned.float().flatten(0, 1)  # [tokens, width]
        distance += (left - right).square().sum(dtype=torch.float64).item()
        norm += left.square().sum(dtype=torch.float64).item()
        cosine += torch.cosine_similarity(left, right, dim=1).sum(dtype=torch.float64).item()
    tokens = sum(ids.numel() for ids in dense.ids)
    return (distance / norm) ** 0.5 if norm else 0.0, cosine / tokens


def alignment(dense: Tensor, pruned: Tensor) -> float:
    """Return the neuron alignment distance `|| d / sum(d) - q / sum(q) ||_2 / in` of the activation norms d
    and q, `[in]`: how differently the input neurons of a linear fire. 0 = unchanged (NeuroAL, arXiv
    2411.07066, equation 3).
    """

    def normalised(norms: Tensor) -> Tensor:
        total = norms.sum()
        return norms / total if total > 0 else norms  # norms that are all zero stay zero

    difference = normalised(dense) - normalised(pruned)
    return float(difference.norm()) / len(dense)
