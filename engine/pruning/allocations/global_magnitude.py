"""Global magnitudes: each linear loses the part of it that one threshold on all weights of the model would
remove. This is the budget that MultiFlow's original starts with (arXiv 2404.05621, equation 7).

Uses no text. Cost: one pass over the weights, and 256 KB per linear. Magnitudes are counted in bins whose
width is 1/128 of their value, one per value of bfloat16; of the bin that holds the threshold, every linear
loses the same share. A linear of small weights may lose all of them: as published, nothing is spared.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.events import BlockMeasured, Event
from engine.pruning import papers
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.search import AllocationContext
from engine.pruning.shares import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


BINS, LOW_BITS = 2**15, 16
"""A bin is the upper half of a float32 without its sign."""


@dataclass(frozen=True)
class _Counts:
    """How many weights of a linear have which magnitude, `[BINS]` int64, and their sum."""

    by_bin: Tensor
    total: float

    @property
    def size(self) -> int:
        return int(self.by_bin.sum())


def global_magnitude(context: AllocationContext) -> Generator[Event, None, Shares]:
    """Count the magnitudes of every linear, then cut all of them at one threshold."""
    counted: dict[int, dict[str, _Counts]] = {}
    for block in context.blocks:
        with context.present(block):
            counts = {name: _count(linear.weight) for name, linear in block.linears.items()}
        counted[block.index] = counts
        size = sum(count.size for count in counts.values())
        yield BlockMeasured(index=block.index, value=sum(count.total for count in counts.values()) / size)
    return budget(counted, context.target)


def budget(counted: Mapping[int, Mapping[str, _Counts]], target: float) -> Shares:
    """Return the sparsity of each linear, whose mean by size is the target, and of each block."""
    all_bins = torch.stack([count.by_bin for linears in counted.values() for count in linears.values()]).sum(
        0
    )
    cumulative = all_bins.cumsum(0).double()
    removed = target * float(cumulative[-1])
    # The first bin with which enough weights are below; the last one at most.
    place = min(int((cumulative < removed).sum()), len(all_bins) - 1)
    inside = float(all_bins[place])
    part = (removed - (float(cumulative[place]) - inside)) / inside if inside else 0.0
    linears = {
        block: {
            name: (int(count.by_bin[:place].sum()) + part * int(count.by_bin[place])) / count.size
            for name, count in counts.items()
        }
        for block, counts in counted.items()
    }
    blocks = tuple(
        weighted_mean(list(linears[block].values()), [count.size for count in counts.values()])
        for block, counts in counted.items()
    )
    return Shares(blocks, linears=linears)


def _count(weight: Tensor) -> _Counts:
    size = weight.float().abs()
    bins = size.contiguous().view(torch.int32).flatten() >> LOW_BITS
    return _Counts(bins.bincount(minlength=BINS).cpu(), float(size.sum(dtype=torch.float64)))


ALLOCATIONS.add(
    Allocation(
        name="global-magnitude",
        title="Global magnitudes",
        explanation="Removes from each linear as many weights as one threshold on the magnitudes of the "
        "whole model would; which ones, the score decides.",
        helps="As the original MultiFlow's budget, with its score and the whole linear as the comparison "
        "group. Linears whose weights are small for reasons of scale lose too much.",
        formula=r"s_{\ell k} = \frac{1}{n_{\ell k}} \# \{ |W_{ij}| \le t \}, \quad t \text{ such that "
        r"the mean of } s_{\ell k} \text{ is } s",
        paper=papers.MULTIFLOW,
        function=global_magnitude,
        measure="mean magnitude of the weights",
        linears=True,
    )
)
