"""OWL: blocks with many outliers among their Wanda scores keep more weights (arXiv 2310.05175).

Cost: one dense forward pass over the calibration windows, and two passes over every score; the scores of one
block are in memory together. A linear that is never called has no scores and does not count.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from engine.errors import NonFiniteError
from engine.events import BlockMeasured, Event
from engine.hardware.transfers import numbers
from engine.pruning import papers
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.scores.wanda import wanda
from engine.pruning.search import AllocationContext
from engine.pruning.shares import centred, within_limits
from engine.pruning.statistics import Need
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


def owl(context: AllocationContext, *, threshold: float, strength: float) -> Generator[Event, None, Shares]:
    """Measure the outliers of each dense block, then allocate the sparsity by them."""
    outliers: list[float] = []
    for block, statistics in context.statistics({Need.INPUT_NORM}):
        # Of the dense block, whose inputs come from dense blocks, too.
        scores = [wanda(block.linears[name].weight.float(), seen) for name, seen in statistics.items()]
        outliers.append(outlier_share(scores, threshold))
        yield BlockMeasured(index=block.index, value=outliers[-1])
    ratios, clipped = owl_ratios(outliers, context.sizes, context.target, strength)
    return Shares(tuple(ratios), clipped=clipped)


def outlier_share(scores: Sequence[Tensor], threshold: float) -> float:
    """Return the percentage of all entries, over all tensors, that exceed `threshold` times their common
    mean; 0 if there are no entries.

    Raises:
        NonFiniteError: their sum is not finite.
    """
    entries = sum(score.numel() for score in scores)
    # One mean for the whole block, so a linear with large scores may hold most outliers.
    limit = threshold * sum(numbers([score.double().sum() for score in scores])) / max(1, entries)
    if not isfinite(limit):
        raise NonFiniteError("Wanda's scores of a block are not finite.")
    return 100 * sum(numbers([(score > limit).sum() for score in scores])) / max(1, entries)


def owl_ratios(
    outliers: Sequence[float], sizes: Sequence[int], target: float, strength: float
) -> tuple[list[float], tuple[int, ...]]:
    """Return the sparsity of each block and the blocks that were clipped.

    The sparsity is `1 - density`, the density being `2 lambda minmax(outliers)`, shifted so that its mean by
    size is `1 - target`. If all blocks have equally many outliers, all get the target.
    """
    least, spread = min(outliers), max(outliers) - min(outliers)
    denser = [2 * strength * (share - least) / spread if spread > 0 else 0.0 for share in outliers]
    # The shift supplies the constant of `1 - density`.
    return within_limits(centred([-density for density in denser], sizes, target), sizes, target)


ALLOCATIONS.add(
    Allocation(
        name="owl",
        title="OWL",
        explanation="Counts the outliers in each block, weights that matter far more than average, and lets "
        "blocks with many of them keep more weights.",
        helps="At 60 % and more, if a few blocks have most of the outliers. Costs one pass over the "
        "calibration text.",
        formula=r"D_\ell = 100 \cdot \tfrac{1}{n_\ell} \, \# \{ S_{ij} > M \bar{S} \}, \quad "
        r"1 - s_\ell = 2 \lambda \, \frac{D_\ell - \min D}{\max D - \min D} + c",
        paper=papers.OWL,
        parameters=(
            Parameter(
                name="threshold",
                kind="float",
                default=5.0,
                minimum=1.0,
                maximum=20.0,
                explanation="M: a weight is an outlier if its Wanda score exceeds the block's mean this "
                "many times",
            ),
            Parameter(
                name="strength",
                kind="float",
                default=0.08,
                minimum=0.0,
                maximum=0.5,
                explanation="lambda: the sparsities of any two blocks differ by at most twice this",
            ),
        ),
        function=owl,
        measure="outliers among the Wanda scores, %",
    )
)
