"""AlphaPruning: blocks whose weights have heavy-tailed spectra are considered well trained and keep more
weights (arXiv 2410.10912).

Uses no text. Cost: the singular values of every linear, about `8/3 n^3` operations if its shorter side is n,
and `n^2` for the tail; the distances of many candidates are computed together, within 64 MiB. On a GPU the
eigenvalues of the float64 Gram matrix replace the singular values, which are slow there. On a CPU the float32
singular values are used as in the published code, so that its histogram has the same bins.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError
from engine.events import BlockMeasured, Event
from engine.hardware.transfers import require
from engine.pruning import papers
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.search import AllocationContext
from engine.pruning.shares import HIGHEST, rescaled, weighted_mean
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


BINS = 100  # of log10 of the eigenvalues
NOISE = (16 * 2.0**-23) ** 2  # 2**-23: float32's relative rounding; squared, as an eigenvalue is
"""Eigenvalues up to this fraction of the largest are rounding errors of singular values that are 0 (measured:
up to 9 units of float32 rounding).
"""
ENTRIES = 2**19
"""Distances computed together: 4 MiB per tensor, and about a dozen tensors of that size."""


def alphapruning(context: AllocationContext, *, spread: float, window: str) -> Generator[Event, None, Shares]:
    """Measure each block's tail exponent, the mean over its linears, and allocate the sparsity by it."""
    exponents: list[float] = []
    for block in context.blocks:
        # Only inside are the weights of a model that is read from the disk block by block.
        with context.present(block):
            spectra = [eigenvalues(linear.weight) for linear in block.linears.values()]
        exponents.append(_mean([tail_exponent(values, window) for values in spectra]))
        yield BlockMeasured(index=block.index, value=exponents[-1])
    ratios, clipped = alpha_ratios(exponents, context.sizes, context.target, spread)
    return Shares(tuple(ratios), clipped=clipped)


def eigenvalues(weight: Tensor) -> Tensor:
    """Return the non-zero eigenvalues of `W^T W`, `[at most min(out, in)]` float64, ascending, on the CPU: a
    fit to so few numbers asks about them again and again.

    Raises:
        NonFiniteError: a weight is not finite.
    """
    require(weight.isfinite().all(), lambda: NonFiniteError("Some weights of a linear are not finite."))
    found = (
        _by_gram(weight)
        if weight.device.type == "cuda"
        else torch.linalg.svdvals(weight.cpu().float()).square().double()
    )
    ascending = found.cpu().sort().values
    return ascending[ascending > NOISE * ascending[-1]]


def _by_gram(weight: Tensor) -> Tensor:
    # [shorter, longer]: both Gram matrices have the same non-zero eigenvalues.
    tall = weight.double() if weight.shape[0] <= weight.shape[1] else weight.double().T
    return torch.linalg.eigvalsh(tall @ tall.T)


def tail_exponent(values: Tensor, window: str = "published") -> float:
    """Return the exponent alpha of a power law fitted to the upper tail of `values`, `[n]` float64, ascending
    and positive; NaN if no tail can be fitted.

    Fits by maximum likelihood (Hill) above each candidate x_min and takes the candidate with the smallest
    Kolmogorov-Smirnov distance, the first on ties. Candidates are near the peak of the histogram of
    `log10(values)`: at most 1.5 times the left edge of its fullest bin, and at least 0.95 times (`peak`) or
    the base-10 logarithm of that (`published`: the published code compares a value with a logarithm, hardly a
    limit).
    """
    if len(values) < 2:
        return nan
    peak = _peak(values)
    least = 0.95 * peak if window == "peak" else (0.95 * peak).log10()
    # Not the last value: its tail would be itself, and the estimate would divide by 0.
    places = ((values[:-1] >= least) & (values[:-1] <= 1.5 * peak)).nonzero().flatten()
    logs = values.log()
    above = logs.flip(0).cumsum(0).flip(0)[places]  # sum of the logarithms from each candidate on
    count = len(values) - places
    exponents = 1 + count / (above - count * logs[places])  # Hill: 1 + n / sum ln(x_i / x_min)
    # Each lot is a matrix of candidates by values, hence the limit.
    lots = zip(*(part.split(max(1, ENTRIES // len(values))) for part in (places, exponents)), strict=True)
    distances = torch.cat([_distances(logs, *lot) for lot in lots])
    best = int(distances.argmin()) if len(distances) else 0
    # A distance of 1 marks a candidate that is not a power law, see `_distances`.
    return float(exponents[best]) if len(distances) and distances[best] < 1 else nan


def _peak(values: Tensor) -> Tensor:
    """Return the value at the left edge of the fullest of 100 bins of `log10(values)`, the first on ties."""
    # `histc` without limits spans the values' own range, as the edges do.
    logs = values.float().log10()
    lowest, highest = logs.aminmax()
    edges = torch.linspace(float(lowest), float(highest), BINS + 1, dtype=torch.float64, device=values.device)
    return 10 ** edges[logs.histc(BINS).argmax()]


def _distances(logs: Tensor, places: Tensor, exponents: Tensor) -> Tensor:
    """Return the Kolmogorov-Smirnov distance of each tail `values[place:]` from its power law,
    `[candidates]`; 1 if it is not a power law.
    """
    gaps = logs - logs[places, None]  # [candidates, n]
    ranks = torch.arange(len(logs), device=logs.device) - places[:, None]
    fitted = 1 - ((1 - exponents)[:, None] * gaps).exp()  # its CDF: 1 - (x / x_min)^(1 - alpha)
    # Negative ranks are values below x_min, where the power may overflow; they are not in the tail.
    apart = (fitted - ranks / (len(logs) - places)[:, None]).abs().masked_fill(ranks < 0, 0).amax(1)
    return apart.where(exponents.isfinite() & (exponents > 1), 1)


def alpha_ratios(
    exponents: Sequence[float], sizes: Sequence[int], target: float, spread: float
) -> tuple[list[float], tuple[int, ...]]:
    """Return the sparsity of each block and the blocks that were clipped to 0.99.

    The sparsity ranges from `1 - spread` (smallest exponent) to `1 + spread` times a common factor, chosen so
    that the mean by size is the target. A block without an exponent counts as average.
    """
    average = _mean(exponents)
    known = [average if isnan(value) else value for value in exponents]
    width = max(known) - min(known)
    if not width > 0:  # also if it is NaN, because no block has an exponent
        return [target] * len(sizes), ()
    shape = [1 - spread + 2 * spread * (value - min(known)) / width for value in known]
    factor = target / weighted_mean(shape, sizes)
    if factor * max(shape) <= HIGHEST:
        return [factor * value for value in shape], ()
    # The largest ratios stop at 0.99 and the others rise further to make up for it.
    ratios = rescaled(shape, sizes, target)
    return ratios, tuple(place for place, ratio in enumerate(ratios) if ratio >= HIGHEST)


def _mean(values: Sequence[float]) -> float:
    """Return the mean, ignoring NaN; NaN if nothing remains."""
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan


ALLOCATIONS.add(
    Allocation(
        name="alphapruning",
        title="AlphaPruning",
        explanation="Fits how quickly a block's weight spectrum decays. A few dominant directions indicate "
        "a well-trained block, which keeps more weights.",
        helps="At 70 % and more, and without calibration text: it reads only the weights. In small models "
        "the spectra are short and the fits noisy.",
        formula=r"\alpha = 1 + \frac{n}{\sum_{i} \ln (\lambda_i / \lambda_{\min})}, \quad "
        r"s_\ell = c \left( 1 - \epsilon + 2 \epsilon \, \frac{\alpha_\ell - \min \alpha}{\max \alpha - "
        r"\min \alpha} \right)",
        paper=papers.ALPHAPRUNING,
        parameters=(
            Parameter(
                name="spread",
                kind="float",
                default=0.3,
                minimum=0.0,
                maximum=0.9,
                explanation="epsilon: how far the sparsities may be from their middle, as a fraction of it",
            ),
            Parameter(
                name="window",
                kind="choice",
                default="published",
                choices=("published", "peak"),
                explanation="where a tail may begin: as in the published code, or not below the histogram's "
                "peak",
            ),
        ),
        function=alphapruning,
        measure="tail exponent of the weights' eigenvalues",
    )
)
