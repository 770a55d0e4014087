"""The groups of an N:M pattern: how many weights each keeps, counted over the whole linear, and a few of them to look at."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.inspection.facts import Groups
from engine.pruning.patterns import SemiStructured

SHOWN_ROWS, SHOWN_COLUMNS = 8, 32
"""Entries of the sample."""


def group_facts(weight: Tensor, keep: Tensor, pattern: SemiStructured, order: Tensor | None = None) -> Groups:
    """Count and sample the groups of a dense weight `[out, in]` with the mask `keep`; `order` is that of permuted columns, `[in]`."""
    columns = torch.arange(keep.shape[1]) if order is None else order.cpu()
    stays = keep.cpu()[:, columns]
    counts = stays.reshape(-1, pattern.m).sum(1).bincount(minlength=pattern.m + 1)
    shown = columns[: max(1, SHOWN_COLUMNS // pattern.m) * pattern.m]
    rows = min(SHOWN_ROWS, len(keep))
    return Groups(
        n=pattern.n,
        m=pattern.m,
        kept=tuple(counts.tolist()),
        order=shown.numpy(),
        permuted=order is not None,
        rows=(0, rows),
        weight=weight[:rows].cpu().float()[:, shown].numpy(),
        keep=stays[:rows, : len(shown)].numpy(),
    )
